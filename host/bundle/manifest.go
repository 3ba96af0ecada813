package bundle

import (
	"cmp"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// ManifestName is the file beside an adapter that says what its bundle holds, and Schema is the form of it.
const (
	ManifestName = "tenon.bundle.json"
	Schema       = "tenon.bundle/v1"
)

// maxManifest bounds the manifest, in bytes.
const maxManifest = 1 << 20

// Manifest is what whoever packed a bundle says is in it.
type Manifest struct {
	Schema  string  `json:"schema"`
	Adapter string  `json:"adapter"` // its identity, "sha256:" and 64 digits
	Format  string  `json:"format"`
	Files   []Entry `json:"files"` // by name; all but the manifest itself
}

// Entry is one file of a manifest.
type Entry struct {
	Name   string `json:"name"` // from the manifest's own folder
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // 64 digits
}

// Manifest reads the manifest of a folder of the bundle, "" for its root, and holds the folder's files against it: each must be there with its
// size and digest, and no other. Without a manifest there is none, and nothing to hold against.
func (b *Bundle) Manifest(folder string) (*Manifest, error) {
	prefix := ""
	if folder != "" {
		prefix = folder + "/"
	}
	name := prefix + ManifestName
	i, found := slices.BinarySearchFunc(b.Files, name, func(f File, name string) int { return cmp.Compare(f.Name, name) })
	if !found {
		return nil, nil
	}
	m, err := parseManifest(Member(b.Name, name), b.Files[i])
	if err != nil {
		return nil, err
	}
	there := map[string]File{}
	for _, f := range b.Files {
		if inner, ok := strings.CutPrefix(f.Name, prefix); ok && f.Name != name {
			there[inner] = f
		}
	}
	var wrong fault.List
	const remedy = "download the bundle again, or pack it again if the change was meant"
	for _, e := range m.Files {
		f, ok := there[e.Name]
		delete(there, e.Name)
		switch sum := hex.EncodeToString(f.SHA256[:]); {
		case !ok:
			wrong.Add(fault.New(fault.DigestBad, "the manifest names %s, and the bundle does not have it", shown(e.Name)).In(Member(b.Name, name)).Fix(remedy))
		case f.Size != e.Size || sum != e.SHA256:
			wrong.Add(fault.New(fault.DigestBad, "it has %d bytes of digest %s, and the manifest says %d bytes of digest %s", f.Size, sum, e.Size, shown(e.SHA256)).
				In(Member(b.Name, f.Name)).Fix(remedy))
		}
	}
	for _, f := range b.Files {
		if inner, ok := strings.CutPrefix(f.Name, prefix); ok {
			if _, stranger := there[inner]; stranger {
				wrong.Add(fault.New(fault.DigestBad, "the manifest does not name this file").In(Member(b.Name, f.Name)).Fix(remedy))
			}
		}
	}
	return m, wrong.Err()
}

func parseManifest(shown string, f File) (*Manifest, error) {
	bad := func(err error, cause string, args ...any) error {
		return fault.New(fault.ADArchive, cause, args...).In(shown).Wrap(err).Fix("pack the adapter again; tenon pack writes the manifest")
	}
	if f.Data == nil || f.Size > maxManifest {
		return nil, bad(nil, "the manifest has %d bytes; the limit is %d", f.Size, maxManifest)
	}
	text := make([]byte, f.Size)
	if _, err := io.ReadFull(io.NewSectionReader(f.Data, 0, f.Size), text); err != nil {
		return nil, fault.New(fault.IORead, "it cannot be read").In(shown).Wrap(reference.Bare(err)).Fix("try again")
	}
	var m Manifest
	if err := json.Unmarshal(text, &m, json.RejectUnknownMembers(true)); err != nil {
		return nil, bad(err, "the manifest is not what %s asks for", Schema)
	}
	if m.Schema != Schema {
		return nil, bad(nil, "the manifest is of schema %q, and %s is read", m.Schema, Schema)
	}
	for i, e := range m.Files {
		if i > 0 && m.Files[i-1].Name >= e.Name {
			return nil, bad(nil, "the manifest's files are not in the order of their names, each once")
		}
	}
	return &m, nil
}

// text is the manifest as it is written.
func (m *Manifest) text() ([]byte, error) {
	text, err := json.Marshal(m, json.Deterministic(true), jsontext.WithIndent("  "))
	return append(text, '\n'), err
}
