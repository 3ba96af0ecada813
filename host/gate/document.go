package gate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/fault"
)

// document walks the YAML of a policy and collects every problem with its line. Anything it does not know is a problem: unknown and repeated
// keys, anchors and aliases, a second document.
type document struct {
	file     string
	problems fault.List
}

// root parses text, which must be one YAML document that holds a mapping. It returns nil after a problem.
func (d *document) root(text []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		d.problem(nil, "", "the policy is empty").Fix("print the default policy and edit that")
		return nil
	case err != nil:
		d.problem(nil, "", "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: ")).Fix("correct the syntax")
		return nil
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		d.problem(&second, "", "a policy is one YAML document, and this file goes on after it").Fix("remove what follows the line ---")
		return nil
	}
	if len(first.Content) != 1 || first.Content[0].Kind != yaml.MappingNode {
		d.problem(&first, "", "a policy is a mapping of keys to values, and this is none").Fix("print the default policy and edit that")
		return nil
	}
	return first.Content[0]
}

// problem notes a problem at a node (nil for the file as a whole) and returns it to add a remedy.
func (d *document) problem(n *yaml.Node, pointer, cause string, args ...any) *fault.Error {
	cause = fmt.Sprintf(cause, args...)
	if n != nil && n.Line > 0 {
		cause = fmt.Sprintf("line %d: %s", n.Line, cause)
	}
	e := fault.New(fault.PolicyInvalid, "%s", cause).In(d.file).At(pointer)
	d.problems.Add(e)
	return e
}

// mapping returns the values of a mapping by key. allowed nil takes every key.
func (d *document) mapping(n *yaml.Node, pointer string, allowed []string) map[string]*yaml.Node {
	values := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		d.problem(n, pointer, "expected a mapping of keys to values, not %s", describe(n))
		return values
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		place := pointer + "/" + escapePointer(key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag != "!!str":
			d.problem(key, pointer, "a key is plain text, not %s", describe(key))
		case allowed != nil && !slices.Contains(allowed, key.Value):
			e := d.problem(key, place, "key %q is not known here", key.Value)
			if near := nearest(key.Value, allowed); near != "" {
				e.Fix("did you mean %q?", near)
			} else {
				e.Fix("the keys here are %s", strings.Join(allowed, ", "))
			}
		case values[key.Value] != nil:
			d.problem(key, place, "key %q is written twice", key.Value).Fix("keep one")
		default:
			values[key.Value] = value
		}
	}
	return values
}

// sequence returns the items of a list; nil for an absent one.
func (d *document) sequence(n *yaml.Node, pointer string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.problem(n, pointer, "expected a list, not %s", describe(n))
		return nil
	}
	return n.Content
}

// text returns a string of at most limit bytes; "" for an absent one.
func (d *document) text(n *yaml.Node, pointer string, limit int) string {
	switch {
	case n == nil:
		return ""
	case n.Kind != yaml.ScalarNode || n.Tag != "!!str":
		d.problem(n, pointer, "expected text, not %s", describe(n)).Fix("put quotes around it if text is meant")
		return ""
	case len(n.Value) > limit:
		d.problem(n, pointer, "%d bytes of text, and the limit is %d", len(n.Value), limit)
		return ""
	}
	return n.Value
}

// number returns a finite number.
func (d *document) number(n *yaml.Node, pointer string) float64 {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" {
		d.problem(n, pointer, "expected a number, not %s", describe(n))
		return 0
	}
	var v float64
	if err := n.Decode(&v); err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		d.problem(n, pointer, "%q is not a finite number", n.Value)
		return 0
	}
	return v
}

// count returns a whole number above zero.
func (d *document) count(n *yaml.Node, pointer string) int64 {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || v <= 0 {
		d.problem(n, pointer, "expected a whole number above zero, not %s", describe(n))
		return 0
	}
	return v
}

// describe names a node in a message.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (a policy is written out in full)"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	value := n.Value
	if len(value) > 40 {
		value = value[:40] + "…"
	}
	return strconv.Quote(value)
}

// escapePointer escapes a part of a JSON pointer (RFC 6901).
func escapePointer(part string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
}

// nearest is the name that word is probably a slip of: at most two edits away, the first of the nearest; "" when there is none.
func nearest(word string, names []string) string {
	best, found := 3, ""
	for _, name := range names {
		if n := edits(strings.ToLower(word), strings.ToLower(name)); n < best && n < len(name) {
			best, found = n, name
		}
	}
	return found
}

// edits is the Levenshtein distance, in bytes. Words much longer than any name are not worth measuring.
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// pointerTo is the JSON pointer of an item of a list.
func pointerTo(list string, i int) string { return list + "/" + strconv.Itoa(i) }
