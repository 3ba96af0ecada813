package jinja

import (
	"fmt"
	"slices"
	"strings"
)

// filters by name. They are Jinja2's, except tojson, which is that of transformers.
var filters map[string]func(r *renderer, of any, args arguments) (any, error)

func init() { // the filters that apply filters need the map
	filters = map[string]func(*renderer, any, arguments) (any, error){
		"abs": absFilter, "capitalize": textFilter("capitalize"), "count": lengthFilter, "d": defaultFilter, "default": defaultFilter,
		"dictsort": dictSortFilter, "first": endFilter(true), "float": floatFilter, "indent": indentFilter, "int": intFilter,
		"items": itemsFilter, "join": joinFilter, "last": endFilter(false), "length": lengthFilter, "list": listFilter,
		"lower": textFilter("lower"), "map": mapFilter, "max": extremeFilter(1), "min": extremeFilter(-1), "reject": chooseFilter(false, false),
		"rejectattr": chooseFilter(true, false), "replace": replaceFilter, "reverse": reverseFilter, "safe": stringFilter,
		"select": chooseFilter(false, true), "selectattr": chooseFilter(true, true), "sort": sortFilter, "string": stringFilter,
		"sum": sumFilter, "title": titleFilter, "tojson": jsonFilter, "trim": trimFilter, "unique": uniqueFilter, "upper": textFilter("upper"),
	}
}

// textFilter applies a method of strings to what a value prints as.
func textFilter(name string) func(*renderer, any, arguments) (any, error) {
	return func(r *renderer, of any, args arguments) (any, error) {
		text, err := show(of)
		if err != nil {
			return nil, err
		}
		return method{text, name}.call(r, args)
	}
}

// titleFilter differs from the method: a word ends at white space, a dash or an opening bracket only.
func titleFilter(_ *renderer, of any, args arguments) (any, error) {
	if _, err := args.bind(0); err != nil {
		return nil, err
	}
	text, err := show(of)
	if err != nil {
		return nil, err
	}
	return capitalize(text, func(r rune) bool { return isSpace(r) || strings.ContainsRune("-({[<", r) })
}

func stringFilter(_ *renderer, of any, args arguments) (any, error) {
	if _, err := args.bind(0); err != nil {
		return nil, err
	}
	text, err := show(of)
	return text, err
}

func trimFilter(r *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "chars")
	if err != nil {
		return nil, err
	}
	return textFilter("strip")(r, of, arguments{places: definedOnly(values)})
}

// definedOnly drops what was not given at the end.
func definedOnly(values []any) []any {
	return slices.DeleteFunc(values, func(v any) bool { _, ok := v.(undefined); return ok })
}

func replaceFilter(r *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(2, "old", "new", "count")
	if err != nil {
		return nil, err
	}
	return textFilter("replace")(r, of, arguments{places: definedOnly(values)})
}

func defaultFilter(_ *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "default_value", "boolean")
	if err != nil {
		return nil, err
	}
	if _, ok := values[0].(undefined); ok {
		values[0] = Text{}
	}
	if _, ok := of.(undefined); ok || truth(values[1]) && !truth(of) {
		return values[0], nil
	}
	return of, nil
}

func lengthFilter(_ *renderer, of any, args arguments) (any, error) {
	if _, err := args.bind(0); err != nil {
		return nil, err
	}
	switch v := of.(type) {
	case Text:
		return int64(len([]rune(v.s))), nil
	case undefined, *list, *Dict:
		items, err := iterate(of)
		return int64(len(items)), err
	}
	return nil, fmt.Errorf("a %s has no length", kindOf(of))
}

// sequence is iterate for a filter without arguments.
func sequence(of any, args arguments) ([]any, error) {
	if _, err := args.bind(0); err != nil {
		return nil, err
	}
	return iterate(of)
}

func listFilter(_ *renderer, of any, args arguments) (any, error) {
	items, err := sequence(of, args)
	return &list{items: slices.Clone(items)}, err
}

func endFilter(first bool) func(*renderer, any, arguments) (any, error) {
	return func(_ *renderer, of any, args arguments) (any, error) {
		items, err := sequence(of, args)
		switch {
		case err != nil:
			return nil, err
		case len(items) == 0:
			return undefined{"an item of nothing"}, nil
		case first:
			return items[0], nil
		}
		return items[len(items)-1], nil
	}
}

func reverseFilter(_ *renderer, of any, args arguments) (any, error) {
	items, err := sequence(of, args)
	if err != nil {
		return nil, err
	}
	items = slices.Clone(items)
	slices.Reverse(items)
	if _, ok := of.(Text); !ok {
		return &list{items: items}, nil
	}
	var b builder
	for _, c := range items {
		b.write(c.(Text))
	}
	return b.text(), nil
}

func itemsFilter(_ *renderer, of any, args arguments) (any, error) {
	if _, ok := of.(undefined); ok {
		return &list{}, nil
	}
	d, ok := of.(*Dict)
	if !ok {
		return nil, fmt.Errorf("a %s has no items", kindOf(of))
	}
	_, err := args.bind(0)
	return pairs(d), err
}

func pairs(d *Dict) *list {
	out := &list{view: true}
	for _, key := range d.keys {
		value, _ := d.get(key)
		out.items = append(out.items, &list{items: []any{key, value}, tuple: true})
	}
	return out
}

func joinFilter(r *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "d", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := iterate(of)
	if err != nil {
		return nil, err
	}
	separator, err := show(values[0])
	if err != nil {
		return nil, err
	}
	if err := r.step(len(items)); err != nil {
		return nil, err
	}
	var b builder
	for i, item := range items {
		if _, whole := values[1].(undefined); !whole {
			if item, err = path(item, values[1]); err != nil {
				return nil, err
			}
		}
		text, err := show(item)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.write(separator)
		}
		b.write(text)
		if b.s.Len() > MaxText {
			return nil, ErrBounds
		}
	}
	return b.text(), r.step(b.s.Len() / 64)
}

func indentFilter(_ *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "width", "first", "blank")
	if err != nil {
		return nil, err
	}
	text, err := show(of)
	if err != nil {
		return nil, err
	}
	width := Own("    ")
	switch v := values[0].(type) {
	case Text:
		width = v
	case int64:
		width = Own(strings.Repeat(" ", int(min(max(v, 0), 1000))))
	}
	var b builder
	end := "\n"
	for i, line := range text.split(&end, -1) {
		if i > 0 {
			b.write(Own("\n"))
		}
		if i == 0 && truth(values[1]) || i > 0 && (line.s != "" || truth(values[2])) {
			b.write(width)
		}
		if b.write(line); b.s.Len() > MaxText {
			return nil, ErrBounds
		}
	}
	return b.text(), nil
}
