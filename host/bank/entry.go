package bank

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/report"
)

// EntrySchema is the schema of an entry's file. Its fields only grow.
const EntrySchema = "tenon.bank/v1"

// What an entry may hold.
const (
	maxFeatures = 100_000 // grids of one adapter
	maxValues   = 65_536  // numbers of one grid
	maxText     = 4 << 10 // bytes of a reference, a note or a name
)

// featuresGrid is the name of the grids that a bank stores.
const featuresGrid = "features"

// Entry is one adapter of a bank, on one base.
type Entry struct {
	SchemaVersion string         `json:"schemaVersion"`
	Adapter       Adapter        `json:"adapter"`
	Base          Base           `json:"base"`
	Policy        report.Policy  `json:"policy"`            // that checked it
	Verdict       report.Verdict `json:"verdict"`           // of that policy
	Override      string         `json:"override,omitzero"` // why it was added although the verdict is closed
	Note          string         `json:"note,omitzero"`     // the operator's
	Features      []Feature      `json:"features"`
}

// Adapter is what an entry says about its adapter.
type Adapter struct {
	Ref        string `json:"ref"` // as the operator wrote it
	Digest     string `json:"digest"`
	Rank       []int  `json:"rank"`
	Parameters int64  `json:"parameters"`
}

// Base is what an entry says about its base.
type Base struct {
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
}

// Feature is one grid of one row: what a module remembers of a target, or of the adapter as a whole where Target is "".
type Feature struct {
	Module  string          `json:"module"`
	Version string          `json:"version"`
	Target  string          `json:"target"`
	Values  []report.Number `json:"values"`
}

// NewEntry takes from a report what the bank stores. An adapter that the gate did not let through needs an override, which says why it is
// known to be good all the same; one of which a module did not run to its end is refused, since what it would have remembered is missing.
func NewEntry(r *report.Report, note, override string) (*Entry, error) {
	e := &Entry{SchemaVersion: EntrySchema, Policy: r.Policy, Verdict: r.Verdict, Note: note,
		Adapter: Adapter{Ref: r.Adapter.Ref, Digest: r.Adapter.Digest, Rank: r.Adapter.Rank, Parameters: r.Adapter.Parameters},
		Base:    Base{Ref: r.Base.Ref, Digest: r.Base.Digest}}
	switch {
	case r.Verdict == report.Inconclusive:
		return nil, fault.New(fault.ModuleFailed, "a diagnostic did not run to its end, so there is not everything to remember").In(r.Adapter.Ref).
			Fix("check it alone first: tenon check")
	case !r.Verdict.Open() && override == "":
		return nil, fault.New(fault.UsageFlag, "the verdict is %s, and a bank is of adapters known to be good", r.Verdict).In(r.Adapter.Ref).
			Fix("see what tenon check says, or give --force REASON")
	case len(note) > maxText || len(override) > maxText:
		return nil, fault.New(fault.UsageFlag, "a note or a reason has at most %d bytes", maxText).Fix("say it more shortly")
	}
	if !r.Verdict.Open() {
		e.Override = override
	}
	versions := map[string]string{}
	for _, m := range r.Modules {
		versions[m.ID] = m.Version
	}
	for _, g := range r.Grids {
		if g.Name == featuresGrid && g.With == "" && g.Rows == 1 && len(g.Values) == 1 {
			e.Features = append(e.Features, Feature{Module: g.Module, Version: versions[g.Module], Target: g.Target, Values: g.Values[0]})
		}
	}
	if len(e.Features) == 0 {
		return nil, fault.New(fault.UsageFlag, "no module of policy %q remembers anything of an adapter", r.Policy.Name).In(r.Adapter.Ref).
			Fix("give a policy with anomaly or duplicates, such as the default one")
	}
	return e, e.check(r.Adapter.Ref).Err()
}

// Marshal is the entry as it is written.
func (e *Entry) Marshal() ([]byte, error) {
	text, err := json.Marshal(e, json.Deterministic(true))
	return append(text, '\n'), err
}

// sameFeatures reports whether two entries remember the same.
func (e *Entry) sameFeatures(other *Entry) bool {
	mine, err := json.Marshal(e.Features, json.Deterministic(true))
	if err != nil {
		return false
	}
	theirs, err := json.Marshal(other.Features, json.Deterministic(true))
	return err == nil && bytes.Equal(mine, theirs)
}

// read reads an entry of a folder called by the digest of its base.
func read(files *reference.Directory, file, base string) (*Entry, [32]byte, error) {
	text, err := files.Read(file, maxEntry)
	if err != nil {
		return nil, [32]byte{}, err
	}
	name := files.Name(file)
	if len(text) > maxEntry {
		return nil, [32]byte{}, fault.New(Invalid, "the file has more than %d bytes", maxEntry).In(name).Fix("remove it and add the adapter again")
	}
	e, err := ParseEntry(name, text)
	if err != nil {
		return nil, [32]byte{}, err
	}
	var problems fault.List
	if e.Adapter.Digest != "sha256:"+strings.TrimSuffix(file, ".json") {
		problems.Add(fault.New(Invalid, "the entry is of adapter %s, and the file's name is not", e.Adapter.Digest).In(name).At("/adapter/digest").
			Fix("remove it and add the adapter again"))
	}
	if e.Base.Digest != "sha256:"+base {
		problems.Add(fault.New(Invalid, "the entry is for base %s, and its folder is not", e.Base.Digest).In(name).At("/base/digest").
			Fix("remove it and add the adapter again"))
	}
	return e, sha256.Sum256(text), problems.Err()
}

// ParseEntry parses the text of an entry; file is what errors call it.
func ParseEntry(file string, text []byte) (*Entry, error) {
	e := new(Entry)
	if err := json.Unmarshal(text, e, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.New(Invalid, "the file is no entry of a bank").In(file).Wrap(err).Fix("remove it and add the adapter again")
	}
	if e.SchemaVersion != EntrySchema {
		return nil, fault.New(Invalid, "schema %q is not %q", e.SchemaVersion, EntrySchema).In(file).At("/schemaVersion").
			Fix("use the release of tenon that wrote it")
	}
	return e, e.check(file).Err()
}

var (
	moduleID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	version  = regexp.MustCompile(`^[0-9A-Za-z.+-]{1,64}$`)
)

// check lists what is wrong with an entry's own content.
func (e *Entry) check(file string) fault.List {
	var problems fault.List
	bad := func(pointer, cause string, args ...any) {
		problems.Add(fault.New(Invalid, cause, args...).In(file).At(pointer).Fix("remove it and add the adapter again"))
	}
	if !isDigest(e.Adapter.Digest) {
		bad("/adapter/digest", "%q is no digest", shorten(e.Adapter.Digest))
	}
	if !slices.Contains([]report.Verdict{report.Admit, report.WarnVerdict, report.Deny}, e.Verdict) {
		bad("/verdict", "%q is no verdict of an adapter that is remembered", shorten(string(e.Verdict)))
	}
	if len(e.Policy.Name) > maxText || len(e.Policy.Digest) > maxText || len(e.Adapter.Rank) > maxFeatures {
		bad("", "the policy's name or the list of ranks is too long")
	}
	if !isDigest(e.Base.Digest) {
		bad("/base/digest", "%q is no digest", shorten(e.Base.Digest))
	}
	texts := map[string]string{"/adapter/ref": e.Adapter.Ref, "/base/ref": e.Base.Ref, "/note": e.Note, "/override": e.Override}
	for pointer, text := range texts {
		if len(text) > maxText {
			bad(pointer, "it has %d bytes, and the limit is %d", len(text), maxText)
		}
	}
	if len(e.Features) > maxFeatures {
		bad("/features", "there are %d, and the limit is %d", len(e.Features), maxFeatures)
		return problems
	}
	seen := map[place]bool{}
	for _, f := range e.Features {
		at := place{f.Module, f.Version, f.Target}
		switch {
		case !moduleID.MatchString(f.Module) || !version.MatchString(f.Version) || len(f.Target) > maxText:
			bad("/features", "features of module %q %q for %q are none", shorten(f.Module), shorten(f.Version), shorten(f.Target))
		case len(f.Values) == 0 || len(f.Values) > maxValues:
			bad("/features", "%s has %d features for %q, and may have 1 to %d", f.Module, len(f.Values), f.Target, maxValues)
		case seen[at]:
			bad("/features", "%s %s has features for %q twice", f.Module, f.Version, f.Target)
		}
		if len(problems) >= 20 {
			break
		}
		seen[at] = true
	}
	return problems
}

// isDigest reports whether text is "sha256:" and 64 hexadecimal digits.
func isDigest(text string) bool {
	digits, ok := strings.CutPrefix(text, "sha256:")
	return ok && folderName.MatchString(digits)
}

// shorten keeps a foreign text in a message short.
func shorten(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}

// digestOf is the sum that a digest's text stands for.
func digestOf(text string) (sum [32]byte) {
	_, _ = hex.Decode(sum[:], []byte(strings.TrimPrefix(text, "sha256:"))) // isDigest has looked at it
	return sum
}
