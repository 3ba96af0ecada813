package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The values of a rendering are: undefined, nil for None, bool, int64, float64, Text, *list, *Dict, *namespace, *loopValue and function.

// undefined is what has no value. It prints as nothing and is false; nearly everything else about it is an error, as in Jinja2.
type undefined struct{ name string }

// list is a Python list or tuple.
type list struct {
	items []any
	tuple bool
	view  bool // of a dict: what its methods give, which has no order to index and prints in a way of its own
}

// Dict is a mapping that keeps the order of its keys.
type Dict struct {
	keys   []any
	values map[any]any // by key, or by string where the key is a Text
}

// Put sets a key, after those there are.
func (d *Dict) Put(key string, value any) { d.put(Own(key), value) }

func (d *Dict) put(key, value any) {
	if d.values == nil {
		d.values = map[any]any{}
	}
	if _, ok := d.values[hash(key)]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[hash(key)] = value
}

func (d *Dict) get(key any) (any, bool) {
	v, ok := d.values[hash(key)]
	return v, ok
}

// hash is equal for keys that are equal in Python.
func hash(key any) any {
	switch k := key.(type) {
	case Text:
		return k.s
	case bool:
		if k {
			return int64(1)
		}
		return int64(0)
	case float64:
		if k == math.Trunc(k) && math.Abs(k) < 1<<53 {
			return int64(k)
		}
	}
	return key
}

// hashable refuses what is no key.
func hashable(key any) error {
	switch key.(type) {
	case nil, bool, int64, float64, Text:
		return nil
	}
	return fmt.Errorf("a %s is no key", kindOf(key))
}

// namespace is what namespace() makes: attributes that loops can set.
type namespace struct{ Dict }

type function func(r *renderer, args arguments) (any, error)

// fromGo makes a value of what a caller gives.
func fromGo(value any) (any, error) {
	switch v := value.(type) {
	case nil, bool, int64, float64, Text:
		return v, nil
	case int:
		return int64(v), nil
	case string:
		return Own(v), nil
	case []any:
		out := &list{items: make([]any, len(v))}
		for i, item := range v {
			var err error
			if out.items[i], err = fromGo(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *Dict:
		out := &Dict{}
		for _, key := range v.keys {
			item, _ := v.get(key)
			item, err := fromGo(item)
			if err != nil {
				return nil, err
			}
			out.put(key, item)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %T is no value of a template", value)
}

func kindOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case undefined:
		return "undefined value"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case Text:
		return "string"
	case *list:
		if v.tuple {
			return "tuple"
		}
		return "list"
	case *Dict:
		return "dict"
	case *namespace:
		return "namespace"
	}
	return "function"
}

// truth is Python's bool().
func truth(value any) bool {
	switch v := value.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case Text:
		return v.s != ""
	case *list:
		return len(v.items) > 0
	case *Dict:
		return len(v.keys) > 0
	}
	return true
}

// equal is Python's ==.
func equal(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case Text:
		y, ok := b.(Text)
		return ok && x.s == y.s
	case *list:
		y, ok := b.(*list)
		if !ok || len(x.items) != len(y.items) || x.tuple != y.tuple {
			return false
		}
		for i := range x.items {
			if !equal(x.items[i], y.items[i]) {
				return false
			}
		}
		return true
	case *Dict:
		y, ok := b.(*Dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false
		}
		for _, key := range x.keys {
			v, _ := x.get(key)
			if w, ok := y.get(key); !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case *namespace:
		y, ok := b.(*namespace)
		return ok && x == y
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return x == y
		}
	}
	return false
}

// number is the value of a bool, an int or a float.
func number(value any) (float64, bool) {
	switch v := value.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// integer is the value of a bool or an int.
func integer(value any) (int64, bool) {
	switch v := value.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return v, true
	}
	return 0, false
}

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
