package jinja

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// method is a method of a value, before it is called.
type method struct {
	of   any
	name string
}

var (
	dictMethods = []string{"get", "items", "keys", "values"}
	listMethods = []string{"count", "index"}
	textMethods = []string{"capitalize", "count", "endswith", "find", "isalnum", "isalpha", "isdigit", "isspace", "join", "lower", "lstrip",
		"removeprefix", "removesuffix", "replace", "rfind", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper"}
)

// isMethod reports whether some value has a method of this name.
func isMethod(name string) bool {
	return slices.Contains(dictMethods, name) || slices.Contains(listMethods, name) || slices.Contains(textMethods, name)
}

func (m method) call(r *renderer, args arguments) (value any, err error) {
	switch of := m.of.(type) {
	case Text:
		if err := r.step(1 + len(of.s)/64); err != nil {
			return nil, err
		}
		value, err = m.text(r, of, args)
	case *Dict:
		value, err = m.dict(of, args)
	case *list:
		value, err = m.list(r, of, args)
	default:
		err = fmt.Errorf("a %s has no methods", kindOf(of))
	}
	if err != nil {
		return nil, prefixed("the method "+m.name, err)
	}
	return value, nil
}

func (m method) dict(d *Dict, args arguments) (any, error) {
	if m.name == "get" {
		values, err := args.bind(1, "key", "default")
		if err == nil {
			err = hashable(values[0])
		}
		if err != nil {
			return nil, err
		}
		if value, ok := d.get(values[0]); ok {
			return value, nil
		}
		if _, missing := values[1].(undefined); missing {
			return nil, nil
		}
		return values[1], nil
	}
	if _, err := args.bind(0); err != nil {
		return nil, err
	}
	switch m.name {
	case "items":
		return pairs(d), nil
	case "keys":
		return &list{items: slices.Clone(d.keys), view: true}, nil
	case "values":
		out := &list{view: true}
		for _, pair := range pairs(d).items {
			out.items = append(out.items, pair.(*list).items[1])
		}
		return out, nil
	}
	return nil, fmt.Errorf("a dict has none")
}

func (m method) list(r *renderer, l *list, args arguments) (any, error) {
	if !slices.Contains(listMethods, m.name) {
		return nil, fmt.Errorf("a list has none")
	}
	values, err := args.bind(1, "value")
	if err != nil {
		return nil, err
	}
	n := int64(0)
	for i, item := range l.items {
		same, err := r.equal(item, values[0])
		if err != nil {
			return nil, err
		}
		if same {
			if n++; m.name == "index" {
				return int64(i), nil
			}
		}
	}
	if m.name == "index" {
		return nil, fmt.Errorf("the value is not in the list")
	}
	return n, nil
}

// text calls a method of a string.
func (m method) text(r *renderer, t Text, args arguments) (any, error) {
	switch m.name {
	case "strip", "lstrip", "rstrip":
		values, err := args.bind(0, "chars")
		if err != nil {
			return nil, err
		}
		set, err := optionalText(values[0])
		return t.strip(set, m.name != "rstrip", m.name != "lstrip"), err
	case "split", "rsplit":
		return m.split(r, t, args)
	case "startswith", "endswith":
		values, err := args.bind(1, "prefix")
		if err != nil {
			return nil, err
		}
		return startsOrEnds(t.s, values[0], m.name == "startswith")
	case "replace":
		return m.replace(r, t, args)
	case "join":
		values, err := args.bind(1, "iterable")
		if err != nil {
			return nil, err
		}
		return joinFilter(r, values[0], arguments{places: []any{t}})
	case "find", "rfind", "count", "removeprefix", "removesuffix":
		values, err := args.bind(1, "sub")
		if err != nil {
			return nil, err
		}
		sub, ok := values[0].(Text)
		if !ok {
			return nil, fmt.Errorf("want a string, not a %s", kindOf(values[0]))
		}
		return search(m.name, t, sub.s), nil
	}
	if _, err := args.bind(0); err != nil {
		return nil, err
	}
	return m.plain(t)
}

// plain calls a method without arguments.
func (m method) plain(t Text) (any, error) {
	every := func(holds func(rune) bool) bool {
		return t.s != "" && strings.IndexFunc(t.s, func(r rune) bool { return !holds(r) }) < 0
	}
	switch m.name {
	case "upper":
		return t.mapRunes(func(r rune) string { return cases.Upper(language.Und).String(string(r)) }), nil
	case "lower":
		return lower(t)
	case "capitalize", "title":
		return capitalize(t, func(r rune) bool { return m.name == "title" && !unicode.IsLetter(r) })
	case "isalpha":
		return every(unicode.IsLetter), nil
	case "isdigit":
		return every(unicode.IsDigit), nil
	case "isalnum":
		return every(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }), nil
	case "isspace":
		return every(isSpace), nil
	case "splitlines":
		out := &list{}
		rest := t
		for rest.s != "" {
			at := newline.FindStringIndex(rest.s)
			if at == nil {
				at = []int{len(rest.s), len(rest.s)}
			}
			out.items = append(out.items, rest.cut(0, at[0]))
			rest = rest.cut(at[1], len(rest.s))
		}
		return out, nil
	}
	return nil, fmt.Errorf("a string has none")
}

// lower refuses the one letter whose lower case depends on what stands around it.
func lower(t Text) (Text, error) {
	if strings.ContainsRune(t.s, 'Σ') {
		return Text{}, fmt.Errorf("the lower case of Σ is not supported")
	}
	return t.mapRunes(func(r rune) string { return cases.Lower(language.Und).String(string(r)) }), nil
}

// capitalize writes the first letter of the text, and each one after what is between words, large and the others small.
func capitalize(t Text, between func(rune) bool) (Text, error) {
	small, err := lower(t)
	if err != nil {
		return Text{}, err
	}
	var b builder
	begin := true
	for _, c := range small.runes() {
		r := []rune(c.s)[0]
		if begin {
			c = c.mapRunes(func(r rune) string { return string(unicode.ToTitle(r)) })
		}
		begin = between(r)
		b.write(c)
	}
	return b.text(), nil
}
