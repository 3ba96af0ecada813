package gate

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"io"
	"os"
	"sync"

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
	Digest  [32]byte // SHA-256 of the file
	Modules []Requirement
	rules   []rule
}

// Requirement is a module that must run to its end.
type Requirement struct {
	ID     string
	SHA256 string             // hex of the only build that may run; "" takes the one at hand
	Grant  []abi.Capability   // what it may use
	Params map[string]float64 // in place of the defaults of its manifest
	Limits abi.Limits         // a zero field is the default
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

//go:embed default.yaml
var defaultYAML []byte

// DefaultPolicyYAML is the policy that decides when nobody gives one, with comments for the person who edits a copy. The caller owns it.
func DefaultPolicyYAML() []byte { return bytes.Clone(defaultYAML) }

// DefaultPolicy is the policy of DefaultPolicyYAML.
func DefaultPolicy() *Policy { return parseDefault() }

var parseDefault = sync.OnceValue(func() *Policy {
	p, err := ParsePolicy("the default policy", defaultYAML)
	if err != nil {
		panic(fmt.Sprintf("the embedded policy does not load: %v", err))
	}
	return p
})

// LoadPolicy reads a policy file. A file that is missing, empty, or has anything unknown in it is refused, with every problem in one
// fault.List: there is no policy that allows everything by mistake.
func LoadPolicy(path string) (*Policy, error) {
	refuse := func(err error, cause string) error {
		return fault.New(fault.PolicyInvalid, "%s", cause).In(path).Wrap(err).Fix("give a policy file; the default one can be printed and edited")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, refuse(err, "the policy cannot be read")
	}
	if !info.Mode().IsRegular() {
		return nil, refuse(nil, "the policy is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, refuse(err, "the policy cannot be read")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err != nil {
		return nil, refuse(err, "the policy cannot be read")
	}
	return ParsePolicy(path, text)
}

// ParsePolicy reads a policy from text; file names it in errors.
func ParsePolicy(file string, text []byte) (*Policy, error) {
	d := &document{file: file}
	if len(text) > maxPolicy {
		d.problem(nil, "", "larger than the limit of %d bytes", maxPolicy).Fix("shorten the policy")
		return nil, d.problems.Err()
	}
	root := d.root(text)
	if root == nil {
		return nil, d.problems.Err()
	}
	p := &Policy{Digest: sha256.Sum256(text)}
	p.read(d, root)
	if err := d.problems.Err(); err != nil {
		return nil, err
	}
	return p, nil
}
