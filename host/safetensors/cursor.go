package safetensors

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
)

// cursor reads JSON tokens of the few kinds a header has. It never recurses: whatever the format does not allow at a place is refused
// there, so depth costs nothing.
type cursor struct {
	file string
	text []byte
	at   int // next byte of text
}

// fail makes a fault at byte at of the header.
func (c *cursor) fail(code fault.Code, at int, cause string, args ...any) *fault.Error {
	return fault.New(code, cause, args...).In(c.file).AtByte(lengthBytes + int64(at)).Fix("save the file again with a safetensors library")
}

// next is the next byte after white space, and false at the end.
func (c *cursor) next() (byte, bool) {
	for c.at < len(c.text) {
		switch b := c.text[c.at]; b {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return b, true
		}
	}
	return 0, false
}

// expect consumes b or fails: with wrong where another JSON value stands in its place, with ST_HDR_JSON where no JSON has such a byte.
func (c *cursor) expect(b byte, what string, wrong fault.Code) *fault.Error {
	found, ok := c.next()
	switch {
	case !ok:
		return c.fail(fault.STHdrJSON, c.at, "the header ends where %s must stand", what)
	case found == b:
		c.at++
		return nil
	case beginsValue(found):
		return c.fail(wrong, c.at, "%s stands where %s must stand", valueKind(found), what)
	}
	return c.fail(fault.STHdrJSON, c.at, "byte 0x%02x stands where %s must stand", found, what)
}

// more consumes the separator after an element: true after a comma, false after the closing byte.
func (c *cursor) more(closing byte) (bool, *fault.Error) {
	found, ok := c.next()
	switch {
	case !ok:
		return false, c.fail(fault.STHdrJSON, c.at, "the header ends inside %s", containerKind(closing))
	case found == ',':
		c.at++
		return true, nil
	case found == closing:
		c.at++
		return false, nil
	}
	return false, c.fail(fault.STHdrJSON, c.at, "byte 0x%02x stands where a comma or %c must stand", found, closing)
}

// empty consumes the closing byte of a container that has no elements.
func (c *cursor) empty(closing byte) bool {
	if found, ok := c.next(); ok && found == closing {
		c.at++
		return true
	}
	return false
}

// key reads a string and the colon after it.
func (c *cursor) key() (name string, at int, failed *fault.Error) {
	c.next()
	at = c.at
	name, failed = c.string("a key in quotes", fault.STHdrJSON)
	if failed == nil {
		failed = c.expect(':', "a colon", fault.STHdrJSON)
	}
	return name, at, failed
}

// string reads a string and resolves its escapes. It refuses what has no UTF-8 form, and NUL, which cuts names short in C.
func (c *cursor) string(what string, wrong fault.Code) (string, *fault.Error) {
	if failed := c.expect('"', what, wrong); failed != nil {
		return "", failed
	}
	var b strings.Builder
	start := c.at // of the run not yet copied
	for c.at < len(c.text) {
		switch ch := c.text[c.at]; {
		case ch == '"':
			b.Write(c.text[start:c.at])
			c.at++
			return b.String(), nil
		case ch == '\\':
			b.Write(c.text[start:c.at])
			r, failed := c.escape()
			if failed != nil {
				return "", failed
			}
			b.WriteRune(r)
			start = c.at
		case ch == 0:
			return "", c.fail(fault.STHdrUTF8, c.at, "a NUL byte stands in a string")
		case ch < ' ':
			return "", c.fail(fault.STHdrJSON, c.at, "control byte 0x%02x stands in a string", ch)
		case ch < utf8.RuneSelf:
			c.at++
		default:
			r, size := utf8.DecodeRune(c.text[c.at:])
			if r == utf8.RuneError && size <= 1 {
				return "", c.fail(fault.STHdrUTF8, c.at, "byte 0x%02x is not valid UTF-8", ch)
			}
			c.at += size
		}
	}
	return "", c.fail(fault.STHdrJSON, c.at, "the header ends inside a string")
}

// simpleEscapes maps the byte after a backslash to what it stands for.
var simpleEscapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads one escape, or the two of a surrogate pair.
func (c *cursor) escape() (rune, *fault.Error) {
	at := c.at
	if at+1 >= len(c.text) {
		return 0, c.fail(fault.STHdrJSON, len(c.text), "the header ends inside an escape")
	}
	if r, ok := simpleEscapes[c.text[at+1]]; ok {
		c.at += 2
		return r, nil
	}
	high, ok := c.unicodeEscape()
	switch {
	case !ok:
		return 0, c.fail(fault.STHdrJSON, at, "this is not an escape that JSON has")
	case high == 0:
		return 0, c.fail(fault.STHdrUTF8, at, "an escaped NUL stands in a string")
	case high < 0xd800 || high > 0xdfff:
		return high, nil
	}
	low, ok := c.unicodeEscape()
	if high > 0xdbff || !ok || low < 0xdc00 || low > 0xdfff {
		return 0, c.fail(fault.STHdrUTF8, at, "half a surrogate pair stands alone")
	}
	return (high-0xd800)<<10 + (low - 0xdc00) + 0x10000, nil
}

// unicodeEscape consumes \uXXXX, or nothing.
func (c *cursor) unicodeEscape() (rune, bool) {
	rest := c.text[c.at:]
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, h := range rest[2:6] {
		switch {
		case h >= '0' && h <= '9':
			r = r<<4 | rune(h-'0')
		case h >= 'a' && h <= 'f':
			r = r<<4 | rune(h-'a'+10)
		case h >= 'A' && h <= 'F':
			r = r<<4 | rune(h-'A'+10)
		default:
			return 0, false
		}
	}
	c.at += 6
	return r, true
}

// natural reads a whole number that is not negative and fits an int64. 1.0 and 1e3 are refused: other readers disagree about them.
func (c *cursor) natural(what string) (int64, *fault.Error) {
	found, ok := c.next()
	at := c.at
	switch {
	case !ok:
		return 0, c.fail(fault.STHdrJSON, at, "the header ends where %s must stand", what)
	case found == '-':
		return 0, c.fail(fault.STEntry, at, "%s is negative", what)
	case !isDigit(found) && beginsValue(found):
		return 0, c.fail(fault.STEntry, at, "%s stands where %s, a whole number, must stand", valueKind(found), what)
	case !isDigit(found):
		return 0, c.fail(fault.STHdrJSON, at, "byte 0x%02x stands where %s must stand", found, what)
	}
	var n int64
	overflow := false
	for ; c.at < len(c.text) && isDigit(c.text[c.at]); c.at++ {
		digit := int64(c.text[c.at] - '0')
		if n > (math.MaxInt64-digit)/10 {
			overflow = true
			continue
		}
		n = n*10 + digit
	}
	switch {
	case c.at < len(c.text) && strings.IndexByte(".eE", c.text[c.at]) >= 0:
		return 0, c.fail(fault.STEntry, at, "%s is not written as a whole number", what)
	case found == '0' && c.at-at > 1:
		return 0, c.fail(fault.STHdrJSON, at, "%s begins with a zero", what)
	case overflow:
		return 0, c.fail(fault.STOverflow, at, "%s does not fit 63 bits", what)
	}
	return n, nil
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// beginsValue reports whether a JSON value can begin with b.
func beginsValue(b byte) bool { return isDigit(b) || strings.IndexByte(`{["-tfn`, b) >= 0 }

// valueKind names the JSON value that begins with b.
func valueKind(b byte) string {
	switch b {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func containerKind(closing byte) string {
	if closing == ']' {
		return "an array"
	}
	return "an object"
}
