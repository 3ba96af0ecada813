package base

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// jsonFault turns an error of the JSON package into a fault with its place.
func jsonFault(code fault.Code, doc *document, err error) *fault.Error {
	if len(strings.TrimSpace(string(doc.text))) == 0 {
		return fault.New(code, "the file is empty").In(doc.shown).AtByte(0).Fix("download or save it again")
	}
	e := fault.New(code, "the file is not the JSON it must be").In(doc.shown).Wrap(err).
		Fix("correct the text there; NaN and Infinity, comments, duplicate names and invalid UTF-8 are not JSON")
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return e.AtByte(syntax.ByteOffset).At(string(syntax.JSONPointer)).Wrap(syntax.Err)
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		e = e.AtByte(semantic.ByteOffset).At(string(semantic.JSONPointer)).Fix("save the file again with transformers")
		e.Cause, e.Err = kindName(semantic.JSONKind)+" stands where another kind of value must stand", semantic.Err
	}
	return e
}

// kindName names a JSON value, with its article.
func kindName(kind jsontext.Kind) string {
	switch kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a " + kind.String()
}

// fields reads the members of one JSON object, of the types they must have. What has another type is put on the list of faults and read
// as absent. A member that is null is absent.
type fields struct {
	doc     *document
	pointer string // of the object
	members map[string]jsontext.Value
	faults  *fault.List
}

// parseFields reads a document that is one object.
func parseFields(doc *document, faults *fault.List) (fields, error) {
	f := fields{doc: doc, faults: faults}
	if err := json.Unmarshal(doc.text, &f.members); err != nil {
		return f, jsonFault(fault.BSConfig, doc, err)
	}
	if f.members == nil { // the text is null
		return f, fault.New(fault.BSConfig, "the file holds null, not an object").In(doc.shown).AtByte(0).Fix("download or save it again")
	}
	return f, nil
}

func (f fields) has(name string) bool {
	kind := f.members[name].Kind()
	return kind != 0 && kind != 'n'
}

// isNull reports whether a member is there and null.
func (f fields) isNull(name string) bool { return f.members[name].Kind() == 'n' }

// name is the member of the object around it that f was read from.
func (f fields) name() string { return f.pointer[strings.LastIndexByte(f.pointer, '/')+1:] }

// add puts a fault about a member on the list.
func (f fields) add(code fault.Code, name, cause string, args ...any) *fault.Error {
	e := fault.New(code, cause, args...).In(f.doc.shown).At(f.pointer + "/" + escapePointer(name))
	f.faults.Add(e)
	return e
}

func (f fields) wrongType(name, want string) {
	value := string(f.members[name])
	if len(value) > 40 {
		value = strings.ToValidUTF8(value[:40], "") + "…"
	}
	f.add(fault.BSConfig, name, "%s is %s, not %s", name, value, want).Fix("use the config.json that was saved with the weights")
}

// integer reads a whole number from least to 2^31-1.
func (f fields) integer(name string, least, absent int) int {
	if !f.has(name) {
		return absent
	}
	n, err := strconv.ParseInt(string(f.members[name]), 10, 32)
	if err != nil || n < int64(least) {
		f.wrongType(name, "a whole number from "+strconv.Itoa(least)+" to 2147483647")
		return absent
	}
	return int(n)
}

// positive reads a finite number above 0.
func (f fields) positive(name string, absent float64) float64 {
	if !f.has(name) {
		return absent
	}
	x, err := strconv.ParseFloat(string(f.members[name]), 64)
	if f.members[name].Kind() != '0' || err != nil || !(x > 0) || math.IsInf(x, 0) {
		f.wrongType(name, "a finite number above 0")
		return absent
	}
	return x
}

// needed reads a finite number above 0 that must be there; 0 where it is not.
func (f fields) needed(name string) float64 {
	if !f.has(name) {
		f.add(fault.BSConfig, name, "the config does not say %s", name).Fix("use the config.json that was saved with the weights")
	}
	return f.positive(name, 0)
}

// boolean reads true or false. A null, which is false in Python, is refused where it would be read as true.
func (f fields) boolean(name string, absent bool) bool {
	switch f.members[name].Kind() {
	case 't':
		return true
	case 'f':
		return false
	}
	if f.has(name) || absent && f.isNull(name) {
		f.wrongType(name, "true or false")
	}
	return absent
}

func (f fields) text(name, absent string) string {
	if !f.has(name) {
		return absent
	}
	var s string
	if json.Unmarshal(f.members[name], &s) != nil {
		f.wrongType(name, "a string")
		return absent
	}
	return s
}

func (f fields) texts(name string) []string {
	var list []string
	if f.has(name) && json.Unmarshal(f.members[name], &list) != nil {
		f.wrongType(name, "a list of strings")
		return nil
	}
	return list
}

// ids reads a token id, or a list of them. It returns nil when the member is absent.
func (f fields) ids(name string) []int {
	if !f.has(name) {
		return nil
	}
	list := []jsontext.Value{f.members[name]}
	if f.members[name].Kind() == '[' {
		list = nil
		if json.Unmarshal(f.members[name], &list) != nil {
			return nil
		}
	}
	ids := []int{}
	for _, value := range list {
		n, err := strconv.ParseInt(string(value), 10, 32)
		if err != nil || n < 0 {
			f.wrongType(name, "a token id or a list of them")
			return nil
		}
		ids = append(ids, int(n))
	}
	return ids
}

// object reads a member that is an object; false where it is absent or of another type.
func (f fields) object(name string) (fields, bool) {
	inner := fields{doc: f.doc, pointer: f.pointer + "/" + escapePointer(name), faults: f.faults}
	if !f.has(name) {
		return inner, false
	}
	if f.members[name].Kind() != '{' || json.Unmarshal(f.members[name], &inner.members) != nil {
		f.wrongType(name, "an object")
		return inner, false
	}
	return inner, true
}

// escapePointer escapes one token of a JSON pointer (RFC 6901).
func escapePointer(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
