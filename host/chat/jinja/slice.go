package jinja

import (
	"fmt"
)

type slice struct {
	line   int
	of     expression
	bounds [3]expression // from, to, step
}

func (e *slice) eval(r *renderer, s *scope) (any, error) {
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	var items []any
	switch v := of.(type) {
	case Text:
		for _, c := range v.runes() {
			items = append(items, c)
		}
	case *list:
		if v.view {
			return nil, at(e.line, fmt.Errorf("a view of a dict has no slices"))
		}
		items = v.items
	default:
		return nil, at(e.line, fmt.Errorf("a %s has no slices", kindOf(of)))
	}
	var bounds [3]*int64
	for i, bound := range e.bounds {
		if bound == nil {
			continue
		}
		value, err := bound.eval(r, s)
		if err != nil {
			return nil, err
		}
		if n, ok := integer(value); ok {
			bounds[i] = &n
		} else if value != nil {
			return nil, at(e.line, fmt.Errorf("a %s is no place in a slice", kindOf(value)))
		}
	}
	items, err = sliced(items, bounds)
	if err != nil {
		return nil, at(e.line, err)
	}
	if err := r.step(len(items)/16 + 1); err != nil {
		return nil, err
	}
	if _, ok := of.(Text); !ok {
		return &list{items: items, tuple: of.(*list).tuple}, nil
	}
	var b builder
	for _, c := range items {
		b.write(c.(Text))
	}
	return b.text(), nil
}

// sliced is Python's slice.
func sliced(items []any, bounds [3]*int64) ([]any, error) {
	n, step := int64(len(items)), int64(1)
	if bounds[2] != nil {
		step = *bounds[2]
	}
	if step == 0 {
		return nil, fmt.Errorf("the step of a slice is 0")
	}
	low, high, from, to := int64(0), n, int64(0), n
	if step < 0 {
		low, high, from, to = -1, n-1, n-1, -1
	}
	place := func(bound *int64, otherwise int64) int64 {
		if bound == nil {
			return otherwise
		}
		i := *bound
		if i < 0 {
			i += n
		}
		return min(max(i, low), high)
	}
	from, to = place(bounds[0], from), place(bounds[1], to)
	var out []any
	for i := from; step > 0 && i < to || step < 0 && i > to; {
		out = append(out, items[i])
		if step > n || step < -n {
			break
		}
		i += step
	}
	return out, nil
}
