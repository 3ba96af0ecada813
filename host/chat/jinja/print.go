package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// show is Python's str(): what a template prints.
func show(value any) (Text, error) {
	switch v := value.(type) {
	case Text:
		return v, nil
	case undefined:
		return Text{}, nil
	}
	var b builder
	if err := repr(&b, value, 0); err != nil {
		return Text{}, err
	}
	return b.text(), nil
}

// repr is Python's repr().
func repr(b *builder, value any, depth int) error {
	if depth > maxDepth || b.s.Len() > MaxText {
		return ErrBounds
	}
	switch v := value.(type) {
	case nil:
		b.write(Own("None"))
	case bool:
		b.write(Own(map[bool]string{true: "True", false: "False"}[v]))
	case int64:
		b.write(Own(strconv.FormatInt(v, 10)))
	case float64:
		b.write(Own(showFloat(v)))
	case undefined:
		b.write(Own("Undefined"))
	case Text:
		quote := "'"
		if strings.Contains(v.s, "'") && !strings.Contains(v.s, `"`) {
			quote = `"`
		}
		b.write(Own(quote))
		b.write(v.mapRunes(func(r rune) string { return escapeRune(r, quote) }))
		b.write(Own(quote))
	case *list:
		if v.view {
			return fmt.Errorf("a view of a dict cannot be printed: use the filter list")
		}
		open, end := "[", "]"
		if v.tuple {
			open, end = "(", ")"
			if len(v.items) == 1 {
				end = ",)"
			}
		}
		for i, item := range v.items {
			b.write(Own(map[bool]string{true: open, false: ", "}[i == 0]))
			if err := repr(b, item, depth+1); err != nil {
				return err
			}
		}
		if len(v.items) == 0 {
			b.write(Own(open))
		}
		b.write(Own(end))
	case *Dict:
		b.write(Own("{"))
		for i, key := range v.keys {
			if i > 0 {
				b.write(Own(", "))
			}
			if err := repr(b, key, depth+1); err != nil {
				return err
			}
			b.write(Own(": "))
			item, _ := v.get(key)
			if err := repr(b, item, depth+1); err != nil {
				return err
			}
		}
		b.write(Own("}"))
	default:
		return fmt.Errorf("a %s cannot be printed", kindOf(value))
	}
	return nil
}

// escapeRune writes a code point inside a Python string literal.
func escapeRune(r rune, quote string) string {
	switch {
	case string(r) == quote || r == '\\':
		return `\` + string(r)
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r == utf8.RuneError || r == ' ' || unicode.IsPrint(r):
		return string(r)
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// showFloat is Python's repr of a float: the shortest digits that read back as it.
func showFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return map[bool]string{true: "inf", false: "-inf"}[f > 0]
	}
	scientific := strconv.FormatFloat(f, 'e', -1, 64)
	exponent, _ := strconv.Atoi(scientific[strings.IndexByte(scientific, 'e')+1:])
	if exponent < -4 || exponent >= 16 {
		return scientific
	}
	if s := strconv.FormatFloat(f, 'f', -1, 64); strings.Contains(s, ".") {
		return s
	} else {
		return s + ".0"
	}
}
