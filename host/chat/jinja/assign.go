package jinja

import (
	"fmt"
	"slices"
)

type target struct{ name, attribute string }

type assign struct {
	line    int
	targets []target
	value   expression // nil: body
	body    []node
	filter  expression
}

func (n *assign) run(r *renderer, s *scope) (flow, error) {
	var value any
	var err error
	if n.value != nil {
		value, err = n.value.eval(r, s)
	} else if value, err = r.capture(n.body, s.inner()); err == nil && n.filter != nil {
		value, err = r.filter(n.filter, s, value)
	}
	values := []any{value}
	if err == nil && len(n.targets) > 1 {
		if values, err = iterate(value); err == nil && len(values) != len(n.targets) {
			err = fmt.Errorf("%d values for %d names", len(values), len(n.targets))
		}
	}
	if err != nil {
		return onward, at(n.line, err)
	}
	for i, t := range n.targets {
		if t.attribute == "" {
			s.names[t.name] = values[i]
			continue
		}
		object, _ := s.get(t.name)
		ns, ok := object.(*namespace)
		if !ok {
			return onward, at(n.line, fmt.Errorf("%s is no namespace", t.name))
		}
		ns.Put(t.attribute, values[i])
	}
	return onward, nil
}

// filter evaluates filters over a value in the place of their body.
func (r *renderer) filter(filters expression, s *scope, value any) (any, error) {
	inner := s.inner()
	inner.names[bodyName] = value
	return filters.eval(r, inner)
}

type filterBlock struct {
	line   int
	filter expression
	body   []node
}

func (n *filterBlock) run(r *renderer, s *scope) (flow, error) {
	text, err := r.capture(n.body, s.inner())
	if err != nil {
		return onward, err
	}
	value, err := r.filter(n.filter, s, text)
	if err != nil {
		return onward, at(n.line, err)
	}
	return (&output{n.line, literal{value}}).run(r, s)
}

type parameter struct {
	name  string
	value expression // nil: none
}

type macro struct {
	line       int
	name       string
	parameters []parameter
	body       []node
}

func (n *macro) run(_ *renderer, s *scope) (flow, error) {
	s.names[n.name] = function(func(r *renderer, args arguments) (any, error) {
		if r.depth++; r.depth > maxDepth {
			return nil, ErrBounds
		}
		defer func() { r.depth-- }()
		inner := s.inner()
		if len(args.places) > len(n.parameters) {
			return nil, fmt.Errorf("%s takes %d arguments, not %d", n.name, len(n.parameters), len(args.places))
		}
		for name := range args.names {
			if !slices.ContainsFunc(n.parameters, func(p parameter) bool { return p.name == name }) {
				return nil, fmt.Errorf("%s has no argument %s", n.name, name)
			}
		}
		for i, p := range n.parameters {
			value, given := args.names[p.name]
			var err error
			switch {
			case i < len(args.places):
				value = args.places[i]
			case given:
			case p.value != nil:
				value, err = p.value.eval(r, inner)
			default:
				value = undefined{p.name}
			}
			if err != nil {
				return nil, err
			}
			inner.names[p.name] = value
		}
		return r.capture(n.body, inner)
	})
	return onward, nil
}
