package jinja

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// jsonFilter writes what Python's json.dumps writes.
func jsonFilter(r *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "ensure_ascii", "indent", "separators", "sort_keys")
	if err != nil {
		return nil, err
	}
	w := &jsonWriter{ascii: truth(values[0]), sort: truth(values[3]), comma: ", ", colon: ": "}
	switch v := values[1].(type) {
	case undefined, nil:
	case int64:
		w.indent, w.pretty, w.comma = strings.Repeat(" ", int(min(max(v, 0), 64))), true, ","
	case Text:
		w.indent, w.pretty, w.comma = v.s, true, ","
	default:
		return nil, fmt.Errorf("an indent of a %s", kindOf(v))
	}
	if separators, ok := values[2].(*list); ok && len(separators.items) == 2 {
		comma, okComma := separators.items[0].(Text)
		colon, okColon := separators.items[1].(Text)
		if !okComma || !okColon {
			return nil, fmt.Errorf("separators that are no strings")
		}
		w.comma, w.colon = comma.s, colon.s
	} else if _, missing := values[2].(undefined); !missing && values[2] != nil {
		return nil, fmt.Errorf("want two separators")
	}
	if err := w.value(of, 0); err != nil {
		return nil, err
	}
	return w.out.text(), r.step(w.out.s.Len()/16 + 1)
}

type jsonWriter struct {
	out                  builder
	ascii, sort, pretty  bool
	indent, comma, colon string
}

func (w *jsonWriter) value(value any, depth int) error {
	if depth > maxDepth || w.out.s.Len() > MaxText {
		return ErrBounds
	}
	switch v := value.(type) {
	case nil:
		w.out.write(Own("null"))
	case bool:
		w.out.write(Own(strconv.FormatBool(v)))
	case int64:
		w.out.write(Own(strconv.FormatInt(v, 10)))
	case float64:
		switch {
		case math.IsNaN(v):
			w.out.write(Own("NaN"))
		case math.IsInf(v, 0):
			w.out.write(Own(map[bool]string{true: "Infinity", false: "-Infinity"}[v > 0]))
		default:
			w.out.write(Own(showFloat(v)))
		}
	case Text:
		w.text(v)
	case *list:
		if v.view {
			return fmt.Errorf("a view of a dict has no JSON")
		}
		return w.group("[", "]", len(v.items), depth, func(i int) error { return w.value(v.items[i], depth+1) })
	case *Dict:
		return w.dict(v, depth)
	default:
		return fmt.Errorf("a %s has no JSON", kindOf(value))
	}
	return nil
}

func (w *jsonWriter) dict(d *Dict, depth int) error {
	keys := slices.Clone(d.keys)
	if w.sort {
		var err error
		if keys, err = sorted(keys, false, func(key any) (any, error) { return key, nil }); err != nil {
			return err
		}
	}
	return w.group("{", "}", len(keys), depth, func(i int) error {
		key, isText := keys[i].(Text)
		if !isText {
			inner := &jsonWriter{}
			if err := inner.value(keys[i], 0); err != nil {
				return err
			}
			key = inner.out.text()
		}
		w.text(key)
		w.out.write(Own(w.colon))
		value, _ := d.get(keys[i])
		return w.value(value, depth+1)
	})
}

// group writes n values between brackets.
func (w *jsonWriter) group(open, end string, n, depth int, one func(int) error) error {
	w.out.write(Own(open))
	for i := range n {
		if i > 0 {
			w.out.write(Own(w.comma))
		}
		if w.pretty {
			w.out.write(Own("\n" + strings.Repeat(w.indent, depth+1)))
		}
		if err := one(i); err != nil {
			return err
		}
	}
	if w.pretty && n > 0 {
		w.out.write(Own("\n" + strings.Repeat(w.indent, depth)))
	}
	w.out.write(Own(end))
	return nil
}

func (w *jsonWriter) text(t Text) {
	w.out.write(Own(`"`))
	w.out.write(t.mapRunes(func(r rune) string {
		switch r {
		case '"':
			return `\"`
		case '\\':
			return `\\`
		case '\n':
			return `\n`
		case '\r':
			return `\r`
		case '\t':
			return `\t`
		case '\b':
			return `\b`
		case '\f':
			return `\f`
		}
		switch {
		case r < 0x20, w.ascii && r > 0x7e && r < 0x10000:
			return fmt.Sprintf(`\u%04x`, r)
		case w.ascii && r >= 0x10000:
			return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		}
		return string(r)
	}))
	w.out.write(Own(`"`))
}
