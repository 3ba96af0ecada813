package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

//go:embed schema/tenon.report.v1.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of what JSON writes. The caller owns the copy.
func Schema() []byte { return bytes.Clone(schema) }

// JSON writes r as tenon.report/v1, indented by two spaces with each row of numbers on one line, and a newline at the end. The bytes are a
// function of r alone. They are safe on a terminal and inside HTML: what Escape would not show is a \u escape, and so are <, > and &;
// bytes that are not UTF-8 become U+FFFD.
func JSON(w io.Writer, r *Report) error {
	text, err := json.Marshal(r, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.EscapeForHTML(true),
		jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("writing a report as JSON: %w", err)
	}
	text = append(escapeJSON(joinRows(text)), '\n')
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

// escapeJSON writes every rune that Escape would not show as it stands as \uXXXX. Outside strings, indented JSON holds only visible ASCII
// and newlines, so newlines are the one thing to leave alone.
func escapeJSON(text []byte) []byte {
	out := make([]byte, 0, len(text)+64)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == '\n' || visible(r):
			out = append(out, text[i:i+size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}

// joinRows puts each array that holds neither arrays nor objects on one line. A grid of 16 by 8 is otherwise 130 lines.
func joinRows(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		switch text[i] {
		case '"':
			end := stringEnd(text, i)
			out = append(out, text[i:end]...)
			i = end
		case '[':
			row, end := joinRow(text, i)
			out = append(out, row...)
			i = end
		default:
			out = append(out, text[i])
			i++
		}
	}
	return out
}

// joinRow returns the array that begins at start without its white space, and where it ends. Where it holds another array or an object,
// only its bracket is returned.
func joinRow(text []byte, start int) (row []byte, end int) {
	row = []byte{'['}
	for i := start + 1; i < len(text); {
		switch c := text[i]; c {
		case '"':
			end := stringEnd(text, i)
			row = append(row, text[i:end]...)
			i = end
			continue
		case '[', '{':
			return text[start : start+1], start + 1
		case ']':
			return append(row, c), i + 1
		case ',':
			row = append(row, ',', ' ')
		case ' ', '\n':
		default:
			row = append(row, c)
		}
		i++
	}
	return text[start : start+1], start + 1
}

// stringEnd is the index after the closing quote of the string that begins at start.
func stringEnd(text []byte, start int) int {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
