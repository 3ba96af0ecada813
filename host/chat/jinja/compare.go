package jinja

import (
	"fmt"
	"strings"
)

type comparison struct {
	line  int
	first expression
	rest  []compared
}

type compared struct {
	operator string
	value    expression
}

func (e *comparison) eval(r *renderer, s *scope) (any, error) {
	left, err := e.first.eval(r, s)
	if err != nil {
		return nil, err
	}
	for _, c := range e.rest {
		right, err := c.value.eval(r, s)
		if err != nil {
			return nil, err
		}
		holds, err := r.compare(c.operator, left, right)
		if err == nil {
			err = r.step(1 + size(left)/64 + size(right)/64)
		}
		if err != nil {
			return nil, at(e.line, err)
		}
		if !holds {
			return false, nil
		}
		left = right
	}
	return true, nil
}

// size is how long it may take to look at a value.
func size(value any) int {
	switch v := value.(type) {
	case Text:
		return len(v.s)
	case *list:
		return 64 * len(v.items)
	}
	return 0
}

func (r *renderer) compare(operator string, left, right any) (bool, error) {
	switch operator {
	case "==":
		return r.equal(left, right)
	case "!=":
		same, err := r.equal(left, right)
		return !same, err
	case "in":
		return r.contains(right, left)
	case "not in":
		holds, err := r.contains(right, left)
		return !holds, err
	}
	order, err := compareOrder(left, right)
	if err != nil {
		return false, err
	}
	switch operator {
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

// compareOrder is below, at or above 0 as left is less than, equal to or greater than right.
func compareOrder(left, right any) (int, error) {
	if a, ok := left.(Text); ok {
		if b, ok := right.(Text); ok {
			return strings.Compare(a.s, b.s), nil
		}
	}
	x, okX := number(left)
	y, okY := number(right)
	if !okX || !okY {
		return 0, fmt.Errorf("a %s and a %s have no order", kindOf(left), kindOf(right))
	}
	switch {
	case x < y:
		return -1, nil
	case x > y:
		return 1, nil
	}
	return 0, nil
}

// contains is Python's in.
func (r *renderer) contains(in, value any) (bool, error) {
	switch v := in.(type) {
	case Text:
		if part, ok := value.(Text); ok {
			return strings.Contains(v.s, part.s), nil
		}
		return false, fmt.Errorf("a %s is in no string", kindOf(value))
	case *list:
		for _, one := range v.items {
			if same, err := r.equal(one, value); same || err != nil {
				return same, err
			}
		}
		return false, nil
	case *Dict:
		if err := hashable(value); err != nil {
			return false, err
		}
		_, ok := v.get(value)
		return ok, nil
	case undefined:
		return false, nil // it has no items
	}
	return false, fmt.Errorf("nothing is in a %s", kindOf(in))
}

// iterate is what a loop over a value goes through.
func iterate(value any) ([]any, error) {
	switch v := value.(type) {
	case undefined:
		return nil, nil
	case *list:
		return v.items, nil
	case *Dict:
		return v.keys, nil
	case Text:
		var out []any
		for _, c := range v.runes() {
			out = append(out, c)
		}
		if len(out) > maxItems {
			return nil, ErrBounds
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %s cannot be gone through", kindOf(value))
}
