package moduletest

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
)

// The members of a manifest, as abi.Manifest reads them.
var (
	manifestKeys  = []string{"id", "version", "title", "guest", "cost", "needs", "base_svd_rank", "params", "limits", "sha256"}
	parameterKeys = []string{"default", "doc"}
	limitKeys     = []string{"guest_memory", "host_tensors", "metrics", "grid_values", "findings", "log_bytes", "host_calls", "run_ms", "compile_ms"}
)

// ExplainManifest says what is wrong with a manifest that does not open, given why: where its form is wrong, a fault.List of everything that
// is, with lines and what was probably meant; and otherwise cause, with the line of the member that it begins with.
func ExplainManifest(file string, text []byte, cause error) error {
	d := &reader{Document: document.Document{File: file, Noun: "manifest", Code: fault.ModuleInvalid, Remedy: "write an object with id, version, " +
		"title, cost and needs; tenon module new writes one to begin with"}}
	root, err := nodes(text)
	switch {
	case err != nil:
		d.Problem(nil, "", "not JSON: %v", err).Fix("correct the syntax; comments and trailing commas are not JSON")
		return d.Problems.Err()
	case root.Kind != yaml.MappingNode:
		d.Problem(root, "", "an object is needed here").Fix("%s", d.Remedy)
		return d.Problems.Err()
	}
	values := d.Mapping(root, "", manifestKeys)
	for _, key := range []string{"id", "version", "title", "guest", "cost", "sha256"} {
		d.Text(values[key], "/"+key, maxText)
	}
	for i, need := range d.Sequence(values["needs"], "/needs") {
		d.word(need, document.PointerTo("/needs", i), "capability", capabilityNames)
	}
	d.whole(values["base_svd_rank"], "/base_svd_rank")
	d.readParameters(values["params"])
	if limits := values["limits"]; limits != nil {
		for key, value := range d.Mapping(limits, "/limits", limitKeys) {
			d.whole(value, "/limits/"+key)
		}
	}
	if err := d.Problems.Err(); err != nil {
		return err
	}
	for inner := errors.Unwrap(cause); inner != nil; inner = errors.Unwrap(inner) {
		cause = inner // the outer ones say in which file
	}
	key, _, _ := strings.Cut(strings.TrimPrefix(cause.Error(), "its "), " ")
	n, pointer := values[key], ""
	if n != nil {
		pointer = "/" + key
	}
	e := d.Problem(n, pointer, "%v", cause)
	if _, given := values[key]; !given && (key == "id" || key == "version" || key == "title" || key == "cost") {
		e.Fix("add %s", key)
	}
	return d.Problems.Err()
}

func (d *reader) readParameters(n *yaml.Node) {
	if n == nil {
		return
	}
	for name, value := range d.Mapping(n, "/params", nil) {
		at := "/params/" + document.EscapePointer(name)
		members := d.Mapping(value, at, parameterKeys)
		if number := members["default"]; number != nil {
			d.Number(number, at+"/default")
		}
		d.Text(members["doc"], at+"/doc", maxText)
	}
}

// whole reads a whole number, if there is one.
func (d *reader) whole(n *yaml.Node, pointer string) {
	if n != nil && n.Tag != "!!int" {
		d.Problem(n, pointer, "expected a whole number, not %s", document.Describe(n))
	}
}
