package adapter

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// member is one name and value of a JSON object, in the order of the text.
type member struct {
	name    string
	pointer jsontext.Pointer // of the value, from the root of the document
	value   jsontext.Value   // owned by the member
	offset  int64            // of the value's first byte in the file
}

// parseObject reads text as one JSON object and nothing after it. Duplicate names, invalid UTF-8 and anything else that two
// parsers could read in two ways is refused, because Tenon must read what PEFT reads.
func parseObject(file string, text []byte) ([]member, *fault.Error) {
	const remedy = "give the adapter_config.json that PEFT saved with these weights"
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fault.New(fault.ADConfig, "the file is empty").In(file).AtByte(0).Fix(remedy)
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(text))
	if kind := decoder.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return nil, fault.New(fault.ADConfig, "the file holds %s, not an object", kindName(kind)).In(file).AtByte(0).Fix(remedy)
	}
	members, err := readMembers(decoder, "", 0)
	if err != nil {
		return nil, syntaxFault(file, err)
	}
	end := int(decoder.InputOffset())
	if rest := bytes.TrimLeft(text[end:], " \t\r\n"); len(rest) > 0 {
		return nil, fault.New(fault.ADConfig, "something follows the object").In(file).AtByte(int64(len(text) - len(rest))).Fix(remedy)
	}
	return members, nil
}

// object returns the members of a value that is a JSON object, false when it is something else. The text has been parsed once
// as a part of its document, so it cannot fail otherwise.
func (m member) object() ([]member, bool) {
	if m.value.Kind() != '{' {
		return nil, false
	}
	members, err := readMembers(jsontext.NewDecoder(bytes.NewBuffer(m.value)), m.pointer, m.offset)
	return members, err == nil
}

// array returns the elements of a value that is a JSON array, named by their index in the pointer; false when it is something else.
func (m member) array() ([]member, bool) {
	if m.value.Kind() != '[' {
		return nil, false
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(m.value))
	if _, err := decoder.ReadToken(); err != nil {
		return nil, false
	}
	var elements []member
	for decoder.PeekKind() != ']' {
		element, err := readValue(decoder, m.offset)
		if err != nil {
			return nil, false
		}
		element.pointer = m.pointer + element.pointer
		elements = append(elements, element)
	}
	return elements, true
}

// readMembers reads one object. pointer and offset are the object's place in the document.
func readMembers(decoder *jsontext.Decoder, pointer jsontext.Pointer, offset int64) ([]member, error) {
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	var members []member
	for decoder.PeekKind() != '}' {
		token, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		m, err := readValue(decoder, offset)
		if err != nil {
			return nil, err
		}
		m.name, m.pointer = name, pointer.AppendToken(name)
		members = append(members, m)
	}
	_, err := decoder.ReadToken()
	return members, err
}

func readValue(decoder *jsontext.Decoder, offset int64) (member, error) {
	value, err := decoder.ReadValue()
	if err != nil {
		return member{}, err
	}
	return member{
		pointer: decoder.StackPointer(),
		value:   value.Clone(),
		offset:  offset + decoder.InputOffset() - int64(len(value)),
	}, nil
}

// text returns a JSON string's value.
func (m member) text() (string, bool) {
	if m.value.Kind() != '"' {
		return "", false
	}
	unquoted, err := jsontext.AppendUnquote(nil, m.value)
	return string(unquoted), err == nil
}

// empty reports whether the value is one that Python calls false: null, false, 0, "", [] or {}.
func (m member) empty() bool {
	switch m.value.Kind() {
	case 'n', 'f':
		return true
	case '"':
		return len(m.value) == 2
	case '{':
		members, ok := m.object()
		return ok && len(members) == 0
	case '[':
		elements, ok := m.array()
		return ok && len(elements) == 0
	case '0':
		return string(m.value) == "0"
	}
	return false
}

// kindName says what a JSON value is, with its article.
func kindName(kind jsontext.Kind) string {
	switch kind {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "no JSON value"
}

// syntaxFault gives a decoder's error its place.
func syntaxFault(file string, err error) *fault.Error {
	problem := fault.New(fault.ADConfig, "the file is not the JSON it must be").In(file).Wrap(err).
		Fix("correct the text there; NaN and Infinity, comments, duplicate names and invalid UTF-8 are not JSON")
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return problem.AtByte(syntax.ByteOffset).At(string(syntax.JSONPointer)).Wrap(syntax.Err)
	}
	return problem
}
