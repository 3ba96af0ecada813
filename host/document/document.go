// Package document reads the YAML files that people write for Tenon, strictly: every problem is collected with its line and its JSON pointer,
// and a slip of the pen is answered with the name that was probably meant.
package document

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

// Document walks the YAML of one file and collects what is wrong with it. Anything it does not know is a problem: unknown and repeated keys,
// anchors and aliases, a second document. It belongs to one goroutine.
type Document struct {
	File     string     // for messages
	Noun     string     // what the file is: "policy"
	Code     fault.Code // of every problem
	Remedy   string     // for a file that is no such thing at all
	Problems fault.List
}

// Root parses text, which must be one YAML document that holds a mapping. It returns nil after a problem.
func (d *Document) Root(text []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		d.Problem(nil, "", "the %s is empty", d.Noun).Fix("%s", d.Remedy)
		return nil
	case err != nil:
		d.Problem(nil, "", "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: ")).Fix("correct the syntax")
		return nil
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		d.Problem(&second, "", "a %s is one YAML document, and this file goes on after it", d.Noun).Fix("remove what follows the line ---")
		return nil
	}
	if len(first.Content) != 1 || first.Content[0].Kind != yaml.MappingNode {
		d.Problem(&first, "", "a %s is a mapping of keys to values, and this is none", d.Noun).Fix("%s", d.Remedy)
		return nil
	}
	return first.Content[0]
}

// Problem notes a problem at a node (nil for the file as a whole) and returns it to add a remedy.
func (d *Document) Problem(n *yaml.Node, pointer, cause string, args ...any) *fault.Error {
	cause = fmt.Sprintf(cause, args...)
	if n != nil && n.Line > 0 {
		cause = fmt.Sprintf("line %d: %s", n.Line, cause)
	}
	e := fault.New(d.Code, "%s", cause).In(d.File).At(pointer)
	d.Problems.Add(e)
	return e
}

// Mapping returns the values of a mapping by key. allowed nil takes every key.
func (d *Document) Mapping(n *yaml.Node, pointer string, allowed []string) map[string]*yaml.Node {
	values := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		d.Problem(n, pointer, "expected a mapping of keys to values, not %s", Describe(n))
		return values
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		place := pointer + "/" + EscapePointer(key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag != "!!str":
			d.Problem(key, pointer, "a key is plain text, not %s", Describe(key))
		case allowed != nil && !slices.Contains(allowed, key.Value):
			e := d.Problem(key, place, "key %q is not known here", key.Value)
			if near := Nearest(key.Value, allowed); near != "" {
				e.Fix("did you mean %q?", near)
			} else {
				e.Fix("the keys here are %s", strings.Join(allowed, ", "))
			}
		case values[key.Value] != nil:
			d.Problem(key, place, "key %q is written twice", key.Value).Fix("keep one")
		default:
			values[key.Value] = value
		}
	}
	return values
}

// Sequence returns the items of a list; nil for an absent one.
func (d *Document) Sequence(n *yaml.Node, pointer string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.Problem(n, pointer, "expected a list, not %s", Describe(n))
		return nil
	}
	return n.Content
}

// Text returns a string of at most limit bytes; "" for an absent one.
func (d *Document) Text(n *yaml.Node, pointer string, limit int) string {
	switch {
	case n == nil:
		return ""
	case n.Kind != yaml.ScalarNode || n.Tag != "!!str":
		d.Problem(n, pointer, "expected text, not %s", Describe(n)).Fix("put quotes around it if text is meant")
		return ""
	case len(n.Value) > limit:
		d.Problem(n, pointer, "%d bytes of text, and the limit is %d", len(n.Value), limit)
		return ""
	}
	return n.Value
}

// Boolean returns true or false.
func (d *Document) Boolean(n *yaml.Node, pointer string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		d.Problem(n, pointer, "expected true or false, not %s", Describe(n))
		return false
	}
	var v bool
	if err := n.Decode(&v); err != nil {
		d.Problem(n, pointer, "%q is neither true nor false", n.Value)
	}
	return v
}

// Number returns a finite number.
func (d *Document) Number(n *yaml.Node, pointer string) float64 {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" {
		d.Problem(n, pointer, "expected a number, not %s", Describe(n))
		return 0
	}
	var v float64
	if err := n.Decode(&v); err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		d.Problem(n, pointer, "%q is not a finite number", n.Value)
		return 0
	}
	return v
}

// Count returns a whole number above zero.
func (d *Document) Count(n *yaml.Node, pointer string) int64 {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || v <= 0 {
		d.Problem(n, pointer, "expected a whole number above zero, not %s", Describe(n))
		return 0
	}
	return v
}

// Unknown notes a word outside a short list.
func (d *Document) Unknown(n *yaml.Node, pointer, what, got string, names []string) {
	e := d.Problem(n, pointer, "%s %q is not known", what, got)
	if near := Nearest(got, names); near != "" {
		e.Fix("did you mean %q?", near)
		return
	}
	e.Fix("choose one of %q", names)
}

// Describe names a node in a message.
func Describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (everything is written out in full)"
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

// EscapePointer escapes a part of a JSON pointer (RFC 6901).
func EscapePointer(part string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
}

// Nearest is the name that word is probably a slip of: at most two edits away, the first of the nearest; "" when there is none.
func Nearest(word string, names []string) string {
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

// PointerTo is the JSON pointer of an item of a list.
func PointerTo(list string, i int) string { return list + "/" + strconv.Itoa(i) }
