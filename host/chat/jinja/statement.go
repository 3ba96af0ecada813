package jinja

import (
	"context"
	"fmt"
	"time"
)

// renderer is one rendering.
type renderer struct {
	ctx   context.Context
	now   func() time.Time
	out   builder
	steps int
	depth int // of macros
}

// scope holds the names that a block has set; those around it can be read.
type scope struct {
	names  map[string]any
	parent *scope
}

func (s *scope) get(name string) (any, bool) {
	for ; s != nil; s = s.parent {
		if value, ok := s.names[name]; ok {
			return value, true
		}
	}
	return nil, false
}

func (s *scope) inner() *scope { return &scope{names: map[string]any{}, parent: s} }

// node is a statement.
type node interface {
	run(r *renderer, s *scope) (flow, error)
}

// flow is how a statement ended.
type flow int

const (
	onward flow = iota
	broken
	continued
)

// run runs statements until one of them jumps.
func (r *renderer) run(body []node, s *scope) (flow, error) {
	for _, n := range body {
		if err := r.step(1); err != nil {
			return onward, err
		}
		if f, err := n.run(r, s); err != nil || f != onward {
			return f, err
		}
	}
	return onward, nil
}

// capture runs statements and returns what they print.
func (r *renderer) capture(body []node, s *scope) (Text, error) {
	outer := r.out
	r.out = builder{}
	_, err := r.run(body, s)
	text := r.out.text()
	r.out = outer
	return text, err
}

// at names a line in an error that has none yet.
func at(line int, err error) error {
	switch err.(type) {
	case nil, *Raised, *located:
		return err
	}
	if err == ErrBounds || err == context.Canceled || err == context.DeadlineExceeded {
		return err
	}
	return &located{fmt.Errorf("line %d: %w", line, err)}
}

type located struct{ error }

func (e *located) Unwrap() error { return e.error }

type output struct {
	line  int
	value expression
}

func (n *output) run(r *renderer, s *scope) (flow, error) {
	value, err := n.value.eval(r, s)
	if err != nil {
		return onward, at(n.line, err)
	}
	text, err := show(value)
	if err != nil {
		return onward, at(n.line, err)
	}
	if r.out.s.Len()+len(text.s) > MaxText {
		return onward, ErrBounds
	}
	r.out.write(text)
	return onward, r.step(len(text.s) / 64)
}

type group struct{ body []node }

func (n *group) run(r *renderer, s *scope) (flow, error) { return r.run(n.body, s) }

type branch struct {
	line            int
	condition       expression
	then, otherwise []node
}

func (n *branch) run(r *renderer, s *scope) (flow, error) {
	value, err := n.condition.eval(r, s)
	if err != nil {
		return onward, at(n.line, err)
	}
	if truth(value) {
		return r.run(n.then, s)
	}
	return r.run(n.otherwise, s)
}

type jump struct{ out bool }

func (n *jump) run(*renderer, *scope) (flow, error) {
	if n.out {
		return broken, nil
	}
	return continued, nil
}

type loop struct {
	line            int
	targets         []string
	over, condition expression
	body, otherwise []node
}

// loopValue is the variable loop.
type loopValue struct {
	items []any
	index int
	depth int
}

func (n *loop) run(r *renderer, s *scope) (flow, error) {
	over, err := n.over.eval(r, s)
	if err != nil {
		return onward, at(n.line, err)
	}
	items, err := iterate(over)
	if err != nil {
		return onward, at(n.line, err)
	}
	if n.condition != nil {
		if items, err = n.chosen(r, s, items); err != nil {
			return onward, at(n.line, err)
		}
	}
	if len(items) == 0 {
		return r.run(n.otherwise, s.inner())
	}
	depth := 1
	if outer, ok := s.get("loop"); ok {
		if outer, ok := outer.(*loopValue); ok {
			depth = outer.depth + 1
		}
	}
	for i, value := range items {
		if err := r.step(1); err != nil {
			return onward, err
		}
		inner := s.inner()
		inner.names["loop"] = &loopValue{items, i, depth}
		if err := unpack(inner, n.targets, value); err != nil {
			return onward, at(n.line, err)
		}
		f, err := r.run(n.body, inner)
		if err != nil {
			return onward, err
		}
		if f == broken {
			break
		}
	}
	return onward, nil
}

// chosen are the items that the loop's condition holds for.
func (n *loop) chosen(r *renderer, s *scope, items []any) ([]any, error) {
	var out []any
	for _, value := range items {
		inner := s.inner()
		if err := unpack(inner, n.targets, value); err != nil {
			return nil, err
		}
		keep, err := n.condition.eval(r, inner)
		if err != nil {
			return nil, err
		}
		if truth(keep) {
			out = append(out, value)
		}
	}
	return out, nil
}

// unpack sets names to a value, or to its parts where there are several.
func unpack(s *scope, names []string, value any) error {
	if len(names) == 1 {
		s.names[names[0]] = value
		return nil
	}
	parts, err := iterate(value)
	if err != nil {
		return err
	}
	if len(parts) != len(names) {
		return fmt.Errorf("%d values for %d names", len(parts), len(names))
	}
	for i, name := range names {
		s.names[name] = parts[i]
	}
	return nil
}
