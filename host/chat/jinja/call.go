package jinja

import "fmt"

// arguments of a call, by place and by name.
type arguments struct {
	places []any
	names  map[string]any
	order  []string // of names
}

func (r *renderer) arguments(given []given, s *scope) (arguments, error) {
	args := arguments{names: map[string]any{}}
	for _, g := range given {
		value, err := g.value.eval(r, s)
		if err != nil {
			return args, err
		}
		if g.name == "" {
			args.places = append(args.places, value)
			continue
		}
		if _, twice := args.names[g.name]; twice {
			return args, fmt.Errorf("the argument %s is given twice", g.name)
		}
		args.names[g.name] = value
		args.order = append(args.order, g.name)
	}
	return args, nil
}

// bind gives the arguments in the order of names; those that are not given are undefined. The first need of them must be given.
func (a arguments) bind(need int, names ...string) ([]any, error) {
	out := make([]any, len(names))
	if len(a.places) > len(names) {
		return nil, fmt.Errorf("%d arguments are too many", len(a.places))
	}
	used := 0
	for i, name := range names {
		value, given := a.names[name]
		switch {
		case i < len(a.places) && given:
			return nil, fmt.Errorf("the argument %s is given twice", name)
		case i < len(a.places):
			value = a.places[i]
		case given:
			used++
		case i < need:
			return nil, fmt.Errorf("the argument %s is missing", name)
		default:
			value = undefined{name}
		}
		out[i] = value
	}
	if used < len(a.names) {
		return nil, fmt.Errorf("an argument's name is not known: want %v", names)
	}
	return out, nil
}

type call struct {
	line      int
	of        expression
	arguments []given
}

func (e *call) eval(r *renderer, s *scope) (any, error) {
	if err := r.step(1); err != nil {
		return nil, err
	}
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	args, err := r.arguments(e.arguments, s)
	if err != nil {
		return nil, at(e.line, err)
	}
	var value any
	switch f := of.(type) {
	case function:
		value, err = f(r, args)
	case method:
		value, err = f.call(r, args)
	case undefined:
		err = fmt.Errorf("%s is undefined", f.name)
	default:
		err = fmt.Errorf("a %s cannot be called", kindOf(of))
	}
	return value, at(e.line, err)
}

type filtered struct {
	line      int
	name      string
	of        expression
	arguments []given
}

func (e *filtered) eval(r *renderer, s *scope) (any, error) {
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	args, err := r.arguments(e.arguments, s)
	if err == nil {
		err = r.step(1)
	}
	if err != nil {
		return nil, at(e.line, err)
	}
	value, err := filters[e.name](r, of, args)
	if err != nil {
		return nil, at(e.line, prefixed("the filter "+e.name, err))
	}
	return value, nil
}

// prefixed says where an error is from, unless it is one that callers look for.
func prefixed(where string, err error) error {
	switch err.(type) {
	case *Raised, *located:
		return err
	}
	if err == ErrBounds {
		return err
	}
	return fmt.Errorf("%s: %w", where, err)
}

type tested struct {
	line      int
	name      string
	of        expression
	arguments []given
}

func (e *tested) eval(r *renderer, s *scope) (any, error) {
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	args, err := r.arguments(e.arguments, s)
	if err != nil {
		return nil, at(e.line, err)
	}
	value, err := tests[e.name](r, of, args)
	if err != nil {
		return nil, at(e.line, prefixed("the test "+e.name, err))
	}
	return value, r.step(1)
}
