package gate

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
)

// PolicySchema is the schema of a policy file.
const PolicySchema = "tenon.policy/v1"

// maxPolicy is the size of the largest policy file that is read.
const maxPolicy = 1 << 20

// Policy says which diagnostics must run and what their results mean. It is immutable and safe for concurrent use.
type Policy struct {
	Name    string
	Digest  [32]byte // SHA-256 of the file; of the file and the digest of the policy it extends, where it extends one
	Modules []Requirement
	Probe   string // probe file that must be run, "" for none; absolute where the policy came from a file
	Revoked string // list of revoked modules, "" for none; absolute where the policy came from a file
	rules   []rule
}

// Requirement is a module that must run to its end.
type Requirement struct {
	ID             string
	File           string             // guest of a module that does not ship with Tenon, as the policy writes it; "" for one that does
	SHA256         string             // hex of the only build that may run; "" takes the one at hand, which a File does not
	ManifestSHA256 string             // hex of the only manifest it may have; as SHA256
	Grant          []abi.Capability   // what it may use
	BaseSVD        bool               // it gets the singular vectors of the base that its manifest asks for, which can take minutes the first time
	Params         map[string]float64 // in place of the defaults of its manifest
	Limits         abi.Limits         // a zero field is the default

	opened *stranger // what File holds; nil without one
	snake  bool      // the policy writes limits as manifests do: run_ms for runMs
}

// rule is one question to a report.
type rule struct {
	code      string
	severity  report.Severity
	perTarget bool
	when      *expression
	value     *expression // nil when there is none
	limit     *expression // nil when there is none
	message   string
	hint      string
}

// LoadPolicy reads a policy file, and the modules whose files it names. A policy that is missing, empty, or has anything unknown in it is
// refused, with every problem in one fault.List: there is no policy that allows everything by mistake. A module that cannot be read is no
// error here: it keeps the gate closed, and Missing tells of it.
func LoadPolicy(path string) (*Policy, error) {
	refuse := func(err error, cause string) error {
		return fault.New(fault.PolicyInvalid, "%s", cause).In(path).Wrap(err).Fix("give a policy file; the default one can be printed and edited")
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe has no one at its other end
	if err != nil {
		return nil, refuse(err, "the policy cannot be read")
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, refuse(err, "the policy is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err != nil {
		return nil, refuse(err, "the policy cannot be read")
	}
	p, err := ParsePolicy(path, text)
	if err != nil {
		return nil, err
	}
	for _, named := range []*string{&p.Probe, &p.Revoked} {
		if *named != "" && !filepath.IsAbs(*named) {
			if *named, err = filepath.Abs(filepath.Join(filepath.Dir(path), *named)); err != nil {
				return nil, refuse(err, "the place of a file it names cannot be told")
			}
		}
	}
	for i := range p.Modules {
		if r := &p.Modules[i]; r.File != "" {
			r.opened = openStranger(filepath.Dir(path), *r)
		}
	}
	return p, nil
}

// ParsePolicy reads a policy from text; file names it in errors. Modules with a File are not read, and keep the gate closed.
func ParsePolicy(file string, text []byte) (*Policy, error) { return parse(file, text, parseBuiltin()) }

// parse reads a policy that may extend one of known.
func parse(file string, text []byte, known map[string]*Policy) (*Policy, error) {
	d := &reader{document.Document{File: file, Noun: "policy", Code: fault.PolicyInvalid, Remedy: "print the default policy and edit that"}}
	if len(text) > maxPolicy {
		d.Problem(nil, "", "larger than the limit of %d bytes", maxPolicy).Fix("shorten the policy")
		return nil, d.Problems.Err()
	}
	root := d.Root(text)
	if root == nil {
		return nil, d.Problems.Err()
	}
	p := &Policy{Digest: sha256.Sum256(text)}
	p.read(d, root, known)
	if err := d.Problems.Err(); err != nil {
		return nil, err
	}
	return p, nil
}
