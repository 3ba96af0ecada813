package jinja

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// optionalText is a string that may be missing or None.
func optionalText(value any) (*string, error) {
	switch v := value.(type) {
	case undefined, nil:
		return nil, nil
	case Text:
		return &v.s, nil
	}
	return nil, fmt.Errorf("want a string, not a %s", kindOf(value))
}

func startsOrEnds(s string, affix any, starts bool) (bool, error) {
	has := strings.HasSuffix
	if starts {
		has = strings.HasPrefix
	}
	switch v := affix.(type) {
	case Text:
		return has(s, v.s), nil
	case *list:
		if v.tuple {
			for _, one := range v.items {
				text, ok := one.(Text)
				if !ok {
					return false, fmt.Errorf("want strings, not a %s", kindOf(one))
				}
				if has(s, text.s) {
					return true, nil
				}
			}
			return false, nil
		}
	}
	return false, fmt.Errorf("want a string or a tuple of strings, not a %s", kindOf(affix))
}

// search is find, rfind and count, whose places count code points, and removeprefix and removesuffix.
func search(name string, t Text, sub string) any {
	place := func(i int) any {
		if i < 0 {
			return int64(-1)
		}
		return int64(utf8.RuneCountInString(t.s[:i]))
	}
	switch name {
	case "find":
		return place(strings.Index(t.s, sub))
	case "rfind":
		return place(strings.LastIndex(t.s, sub))
	case "count":
		return int64(strings.Count(t.s, sub))
	case "removeprefix":
		return t.cut(len(t.s)-len(strings.TrimPrefix(t.s, sub)), len(t.s))
	}
	return t.cut(0, len(strings.TrimSuffix(t.s, sub)))
}

func (m method) split(r *renderer, t Text, args arguments) (any, error) {
	values, err := args.bind(0, "sep", "maxsplit")
	if err != nil {
		return nil, err
	}
	separator, err := optionalText(values[0])
	if err != nil {
		return nil, err
	}
	limit := int64(-1)
	if _, missing := values[1].(undefined); !missing {
		var ok bool
		if limit, ok = integer(values[1]); !ok {
			return nil, fmt.Errorf("want a whole number, not a %s", kindOf(values[1]))
		}
	}
	limit = min(max(limit, -1), maxItems)
	switch {
	case separator != nil && *separator == "":
		return nil, fmt.Errorf("the separator is empty")
	case separator != nil && strings.Count(t.s, *separator) > maxItems:
		return nil, ErrBounds
	case m.name == "rsplit" && separator == nil && limit >= 0:
		return nil, fmt.Errorf("a limit without a separator is not supported")
	}
	var parts []Text
	if m.name == "rsplit" && separator != nil {
		if limit < 0 {
			parts = t.split(separator, -1)
		} else {
			parts = t.splitRight(*separator, int(min(limit, 1000)))
		}
	} else {
		parts = t.split(separator, int(limit))
	}
	out := &list{}
	for _, part := range parts {
		out.items = append(out.items, part)
	}
	return out, r.step(len(parts))
}

func (m method) replace(r *renderer, t Text, args arguments) (any, error) {
	values, err := args.bind(2, "old", "new", "count")
	if err != nil {
		return nil, err
	}
	old, okOld := values[0].(Text)
	with, okWith := values[1].(Text)
	if !okOld || !okWith {
		return nil, fmt.Errorf("want strings, not a %s and a %s", kindOf(values[0]), kindOf(values[1]))
	}
	limit := int64(-1)
	switch v := values[2].(type) {
	case undefined, nil:
	case int64:
		limit = min(max(v, -1), MaxText)
	default:
		return nil, fmt.Errorf("want a whole number, not a %s", kindOf(v))
	}
	if n := strings.Count(t.s, old.s); n*len(with.s)+len(t.s) > MaxText {
		return nil, ErrBounds
	}
	out := t.replace(old.s, with, int(limit))
	return out, r.step(len(out.s)/64 + 1)
}
