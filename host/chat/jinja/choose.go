package jinja

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// path is an attribute of a value by its name, or one of that one by "a.b"; whole numbers are indices.
func path(of, attribute any) (any, error) {
	if i, ok := attribute.(int64); ok {
		return get(of, i, false)
	}
	names, ok := attribute.(Text)
	if !ok {
		return nil, fmt.Errorf("a %s is no attribute's name", kindOf(attribute))
	}
	for _, name := range strings.Split(names.s, ".") {
		var index any = Own(name)
		if i, err := strconv.ParseInt(name, 10, 64); err == nil {
			index = i
		}
		var err error
		if of, err = get(of, index, false); err != nil {
			return nil, err
		}
	}
	return of, nil
}

// mapFilter is map(attribute=…) and map("filter", …).
func mapFilter(r *renderer, of any, args arguments) (any, error) {
	items, err := iterate(of)
	if err != nil {
		return nil, err
	}
	out := &list{}
	attribute, byAttribute := args.names["attribute"]
	var name Text
	if !byAttribute {
		ok := len(args.places) > 0
		if ok {
			name, ok = args.places[0].(Text)
		}
		if !ok || filters[name.s] == nil {
			return nil, fmt.Errorf("want attribute=, or a filter that is supported")
		}
		args.places = args.places[1:]
	} else if len(args.places) > 0 {
		return nil, fmt.Errorf("an attribute and a filter")
	}
	otherwise, hasDefault := args.names["default"]
	for name := range args.names {
		if byAttribute && name != "attribute" && name != "default" {
			return nil, fmt.Errorf("the argument %s is not known", name)
		}
	}
	for _, item := range items {
		if err := r.step(1); err != nil {
			return nil, err
		}
		var value any
		if byAttribute {
			value, err = path(item, attribute)
			if _, missing := value.(undefined); missing && hasDefault {
				value = otherwise
			}
		} else {
			value, err = filters[name.s](r, item, args)
		}
		if err != nil {
			return nil, err
		}
		out.items = append(out.items, value)
	}
	return out, nil
}

// chooseFilter is select, reject, selectattr and rejectattr.
func chooseFilter(byAttribute, keep bool) func(*renderer, any, arguments) (any, error) {
	return func(r *renderer, of any, args arguments) (any, error) {
		items, err := iterate(of)
		if err != nil {
			return nil, err
		}
		if len(args.names) > 0 {
			return nil, fmt.Errorf("arguments with names are not supported")
		}
		places := args.places
		var attribute any
		if byAttribute {
			if len(places) == 0 {
				return nil, fmt.Errorf("want an attribute")
			}
			attribute, places = places[0], places[1:]
		}
		holds := func(value any) (bool, error) { return truth(value), nil }
		if len(places) > 0 {
			name, ok := places[0].(Text)
			if !ok || tests[name.s] == nil {
				return nil, fmt.Errorf("want a test that is supported")
			}
			holds = func(value any) (bool, error) { return tests[name.s](r, value, arguments{places: places[1:]}) }
		}
		out := &list{}
		for _, item := range items {
			if err := r.step(1); err != nil {
				return nil, err
			}
			value := item
			if byAttribute {
				if value, err = path(item, attribute); err != nil {
					return nil, err
				}
			}
			ok, err := holds(value)
			if err != nil {
				return nil, err
			}
			if ok == keep {
				out.items = append(out.items, item)
			}
		}
		return out, nil
	}
}

// sortKey is what a value is ordered by: a string in lower case unless case matters.
func sortKey(value any, caseMatters bool) any {
	if text, ok := value.(Text); ok && !caseMatters {
		return Own(strings.ToLower(text.s))
	}
	return value
}

func sorted(items []any, reverse bool, key func(any) (any, error)) ([]any, error) {
	items = slices.Clone(items)
	var failed error
	slices.SortStableFunc(items, func(a, b any) int {
		x, err := key(a)
		if err == nil {
			var y any
			if y, err = key(b); err == nil {
				var order int
				if order, err = compareOrder(x, y); err == nil {
					if reverse {
						return -order
					}
					return order
				}
			}
		}
		failed = err
		return 0
	})
	return items, failed
}

func sortFilter(r *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "reverse", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := iterate(of)
	if err != nil {
		return nil, err
	}
	_, whole := values[2].(undefined)
	out, err := sorted(items, truth(values[0]), func(item any) (any, error) {
		if !whole {
			if item, err = path(item, values[2]); err != nil {
				return nil, err
			}
		}
		return sortKey(item, truth(values[1])), nil
	})
	if err != nil {
		return nil, err
	}
	return &list{items: out}, r.step(20 * len(out))
}

func dictSortFilter(r *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "case_sensitive", "by", "reverse")
	if err != nil {
		return nil, err
	}
	d, ok := of.(*Dict)
	if !ok {
		return nil, fmt.Errorf("a %s is no dict", kindOf(of))
	}
	place := 0
	if by, ok := values[1].(Text); ok && by.s == "value" {
		place = 1
	}
	out, err := sorted(pairs(d).items, truth(values[2]), func(item any) (any, error) {
		return sortKey(item.(*list).items[place], truth(values[0])), nil
	})
	if err != nil {
		return nil, err
	}
	return &list{items: out}, r.step(20 * len(out))
}

func uniqueFilter(r *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := iterate(of)
	if err != nil {
		return nil, err
	}
	out := &list{}
	seen := map[any]bool{}
	for _, item := range items {
		key := item
		if _, whole := values[1].(undefined); !whole {
			if key, err = path(item, values[1]); err != nil {
				return nil, err
			}
		}
		key = sortKey(key, truth(values[0]))
		if err := hashable(key); err != nil {
			return nil, err
		}
		if !seen[hash(key)] {
			seen[hash(key)] = true
			out.items = append(out.items, item)
		}
	}
	return out, r.step(len(items))
}

// extremeFilter is max, or min where direction is below 0.
func extremeFilter(direction int) func(*renderer, any, arguments) (any, error) {
	return func(_ *renderer, of any, args arguments) (any, error) {
		values, err := args.bind(0, "case_sensitive", "attribute")
		if err != nil {
			return nil, err
		}
		items, err := iterate(of)
		if err != nil {
			return nil, err
		}
		var best, bestKey any = undefined{"the extreme of nothing"}, nil
		for i, item := range items {
			key := item
			if _, whole := values[1].(undefined); !whole {
				if key, err = path(item, values[1]); err != nil {
					return nil, err
				}
			}
			key = sortKey(key, truth(values[0]))
			if i > 0 {
				order, err := compareOrder(key, bestKey)
				if err != nil {
					return nil, err
				}
				if order*direction <= 0 {
					continue
				}
			}
			best, bestKey = item, key
		}
		return best, nil
	}
}
