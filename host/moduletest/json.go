package moduletest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// maxDepth is how deep lists and objects may be nested; a case needs eight.
const maxDepth = 16

// nodes reads one JSON value as the nodes of YAML that a document.Document walks, with the line of each. A key that is written twice is left
// to the Document, which tells all of them.
func nodes(text []byte) (*yaml.Node, error) {
	r := &jsonReader{text: text, line: 1, decoder: jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))}
	root, err := r.value(0)
	if err == nil {
		if _, err = r.decoder.ReadToken(); errors.Is(err, io.EOF) {
			return root, nil
		} else if err == nil {
			err = errors.New("something follows the end of the value")
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends too early")
	}
	return nil, fmt.Errorf("line %d: %s", r.here(), strings.TrimPrefix(err.Error(), "jsontext: "))
}

type jsonReader struct {
	text    []byte
	decoder *jsontext.Decoder
	at      int // bytes whose lines are counted
	line    int
}

// here is the line at which the decoder has arrived.
func (r *jsonReader) here() int {
	if end := min(int(r.decoder.InputOffset()), len(r.text)); end > r.at {
		r.line += bytes.Count(r.text[r.at:end], []byte{'\n'})
		r.at = end
	}
	return r.line
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	token, err := r.decoder.ReadToken()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.here()}
	end := jsontext.Kind(']')
	switch token.Kind() {
	case 'n':
		n.Tag, n.Value = "!!null", "null"
	case 't', 'f':
		n.Tag, n.Value = "!!bool", token.String()
	case '"':
		n.Tag, n.Value = "!!str", token.String()
	case '0':
		n.Tag, n.Value = "!!int", token.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case '{':
		n.Kind, n.Tag, end = yaml.MappingNode, "!!map", '}'
	case '[':
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	}
	if n.Kind == yaml.ScalarNode {
		return n, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("lists and objects are nested deeper than %d", maxDepth)
	}
	for r.decoder.PeekKind() != end {
		child, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, child)
	}
	_, err = r.decoder.ReadToken()
	return n, err
}
