package moduletest

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// Schema is the schema of a file of cases.
const Schema = "tenon.cases/v1"

// What a file of cases may be.
const (
	maxFile = 16 << 20 // bytes
	maxText = 1 << 10  // bytes of a name
)

// DefaultTolerance is how far a metric may be from what is expected, relative to that, where a case does not say.
const DefaultTolerance = 1e-9

// Cases is a NAME.cases.json.
type Cases struct {
	File  string
	Cases []Case
}

// Case is an adapter and what the module is expected to say about it.
type Case struct {
	Name       string
	Adapter    *Adapter // nil where AdapterDir is given
	AdapterDir string   // paths are relative to the file of cases
	BaseDir    string
	PeerDirs   []string
	Params     map[string]float64
	Grant      []abi.Capability // nil: what the manifest needs
	Expect     Expectation
}

// Expectation is what a run must give. What it does not name is not looked at, but for OnlyTheseFindings.
type Expectation struct {
	Status            sandbox.Status
	Metrics           []ExpectedMetric
	Findings          []ExpectedFinding
	OnlyTheseFindings bool
}

// ExpectedMetric is a number that must be given. An empty Target stands for the adapter as a whole, an empty Peer for none.
type ExpectedMetric struct {
	Target, Peer, Name string
	Value              float64 // NaN is met by NaN
	Tolerance          float64 // relative to Value; absolute where Value is 0
}

// ExpectedFinding is a finding that must be given.
type ExpectedFinding struct {
	Target   string
	Severity abi.Severity
	Code     string
	Value    *float64 // nil: any, else within DefaultTolerance
}

// CasesFile is the file of cases of a module file: NAME.cases.json beside NAME.wasm.
func CasesFile(module string) string { return strings.TrimSuffix(module, ".wasm") + ".cases.json" }

// Load reads a file of cases. The error is a fault.List of everything that is wrong with it.
func Load(path string) (*Cases, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.IOFileType, "the cases are not a regular file").In(path)
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		code := fault.IORead
		if os.IsNotExist(err) {
			code = fault.IONotFound
		}
		return nil, fault.New(code, "the cases cannot be read").In(path).Wrap(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "the cases cannot be read").In(path).Wrap(err)
	}
	return Parse(path, text)
}

// reader walks one file of cases.
type reader struct {
	document.Document
	dir string
}

// Parse reads cases from text; file names them in errors, and its folder is where relative paths begin.
func Parse(file string, text []byte) (*Cases, error) {
	d := &reader{dir: filepath.Dir(file), Document: document.Document{File: file, Noun: "file of cases", Code: fault.CasesInvalid,
		Remedy: "write an object with schema and cases; tenon module new writes one to begin with"}}
	if len(text) > maxFile {
		d.Problem(nil, "", "larger than the limit of %d bytes", maxFile).Fix("put large matrices into adapter_dir and base_dir")
		return nil, d.Problems.Err()
	}
	root, err := nodes(text)
	switch {
	case err != nil:
		d.Problem(nil, "", "not JSON: %v", err).Fix("correct the syntax; comments, NaN and trailing commas are not JSON")
		return nil, d.Problems.Err()
	case root.Kind != yaml.MappingNode:
		d.Problem(root, "", "an object is needed here").Fix("%s", d.Remedy)
		return nil, d.Problems.Err()
	}
	values, whole := d.mapping(root, "", []string{"schema", "cases"})
	if schema := values["schema"]; schema == nil && whole {
		d.Problem(root, "", "schema is missing").Fix("add \"schema\": %q", Schema)
	} else if got := d.Text(schema, "/schema", maxText); got != Schema && got != "" {
		d.Problem(schema, "/schema", "schema %q is not read", got).Fix("this version reads %q", Schema)
	}
	c := &Cases{File: file}
	if values["cases"] == nil && whole {
		d.Problem(root, "", "cases is missing").Fix("add a list of cases")
	}
	names := map[string]bool{}
	for i, n := range d.Sequence(values["cases"], "/cases") {
		pointer := document.PointerTo("/cases", i)
		one := d.readCase(n, pointer)
		if names[one.Name] {
			d.Problem(n, pointer+"/name", "two cases are called %q", one.Name).Fix("give each a name of its own")
		}
		names[one.Name] = one.Name != ""
		c.Cases = append(c.Cases, one)
	}
	if err := d.Problems.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// mapping is Mapping, and whether all of it was understood: what seems to be missing from one that was not may be what is misspelled in it.
func (d *reader) mapping(n *yaml.Node, pointer string, allowed []string) (values map[string]*yaml.Node, whole bool) {
	before := len(d.Problems)
	values = d.Mapping(n, pointer, allowed)
	return values, len(d.Problems) == before
}

func (d *reader) readCase(n *yaml.Node, pointer string) Case {
	values, whole := d.mapping(n, pointer, []string{"name", "adapter", "adapter_dir", "base_dir", "peer_dirs", "params", "grant", "expect"})
	c := Case{Name: d.Text(values["name"], pointer+"/name", maxText), Expect: Expectation{Status: sandbox.OK}}
	if n.Kind != yaml.MappingNode {
		return c
	}
	if name := values["name"]; name == nil && whole || name != nil && name.Value == "" {
		d.Problem(n, pointer, "a case needs a name")
	}
	switch inline, dir := values["adapter"], values["adapter_dir"]; {
	case inline != nil && dir != nil:
		d.Problem(n, pointer, "adapter and adapter_dir exclude each other").Fix("keep one")
	case inline == nil && dir == nil:
		if whole {
			d.Problem(n, pointer, "a case needs an adapter").Fix("give adapter, in numbers, or adapter_dir and base_dir")
		}
	case inline != nil:
		for _, key := range []string{"base_dir", "peer_dirs"} {
			if values[key] != nil {
				d.Problem(values[key], pointer+"/"+key, "%s belongs to adapter_dir", key).Fix("an adapter in numbers has base and peers of its own")
			}
		}
		c.Adapter = d.readAdapter(inline, pointer+"/adapter")
	default:
		c.AdapterDir = d.path(dir, pointer+"/adapter_dir")
		if values["base_dir"] == nil && whole {
			d.Problem(n, pointer, "base_dir is missing").Fix("name the base that the adapter is for")
		}
		c.BaseDir = d.path(values["base_dir"], pointer+"/base_dir")
		for i, peer := range d.Sequence(values["peer_dirs"], pointer+"/peer_dirs") {
			c.PeerDirs = append(c.PeerDirs, d.path(peer, document.PointerTo(pointer+"/peer_dirs", i)))
		}
	}
	if params := values["params"]; params != nil {
		c.Params = map[string]float64{}
		for name, value := range d.Mapping(params, pointer+"/params", nil) {
			c.Params[name] = d.number(value, pointer+"/params/"+document.EscapePointer(name))
		}
	}
	if grant := values["grant"]; grant != nil {
		c.Grant = []abi.Capability{}
		for i, item := range d.Sequence(grant, pointer+"/grant") {
			at := document.PointerTo(pointer+"/grant", i)
			c.Grant = append(c.Grant, abi.Capability(d.word(item, at, "capability", capabilityNames)))
		}
	}
	switch expect := values["expect"]; {
	case expect != nil:
		d.readExpectation(expect, pointer+"/expect", &c)
	case whole:
		d.Problem(n, pointer, "a case needs to expect something").Fix("add expect, with status, metrics or findings")
	}
	return c
}

var capabilityNames = []string{string(abi.CapBase), string(abi.CapPeers), string(abi.CapKernels)}

// path gives a path as it must be opened.
func (d *reader) path(n *yaml.Node, pointer string) string {
	path := d.Text(n, pointer, 4<<10)
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, filepath.FromSlash(path))
}

// word is one of a few.
func (d *reader) word(n *yaml.Node, pointer, what string, names []string) string {
	text := d.Text(n, pointer, maxText)
	for _, name := range names {
		if text == name {
			return text
		}
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		d.Unknown(n, pointer, what, text, names)
	}
	return ""
}
