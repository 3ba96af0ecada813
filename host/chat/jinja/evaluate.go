package jinja

import (
	"fmt"
	"unicode/utf8"
)

// expression is what has a value.
type expression interface {
	eval(r *renderer, s *scope) (any, error)
}

type literal struct{ value any }

func (e literal) eval(*renderer, *scope) (any, error) { return e.value, nil }

type variable struct{ name string }

func (e variable) eval(r *renderer, s *scope) (any, error) {
	if err := r.step(1); err != nil {
		return nil, err
	}
	if value, ok := s.get(e.name); ok {
		return value, nil
	}
	if f, ok := globals[e.name]; ok {
		return f, nil
	}
	return undefined{e.name}, nil
}

// bodyName is where a filter block's text lies while its filters run; no template can say this name.
const bodyName = "filter body"

type body struct{}

func (body) eval(_ *renderer, s *scope) (any, error) {
	value, _ := s.get(bodyName)
	return value, nil
}

type listOf struct {
	items []expression
	tuple bool
}

func (e *listOf) eval(r *renderer, s *scope) (any, error) {
	out := &list{tuple: e.tuple, items: make([]any, len(e.items))}
	for i, item := range e.items {
		var err error
		if out.items[i], err = item.eval(r, s); err != nil {
			return nil, err
		}
	}
	return out, r.step(1)
}

type dictOf struct {
	line         int
	keys, values []expression
}

func (e *dictOf) eval(r *renderer, s *scope) (any, error) {
	out := &Dict{}
	for i := range e.keys {
		key, err := e.keys[i].eval(r, s)
		if err == nil {
			err = hashable(key)
		}
		if err != nil {
			return nil, at(e.line, err)
		}
		value, err := e.values[i].eval(r, s)
		if err != nil {
			return nil, err
		}
		out.put(key, value)
	}
	return out, r.step(1)
}

type conditional struct{ condition, then, otherwise expression }

func (e *conditional) eval(r *renderer, s *scope) (any, error) {
	value, err := e.condition.eval(r, s)
	switch {
	case err != nil:
		return nil, err
	case truth(value):
		return e.then.eval(r, s)
	case e.otherwise != nil:
		return e.otherwise.eval(r, s)
	}
	return undefined{"the inline if without else"}, nil
}

type negation struct{ of expression }

func (e *negation) eval(r *renderer, s *scope) (any, error) {
	value, err := e.of.eval(r, s)
	return !truth(value), err
}

// item is of.name or of[index].
type item struct {
	line      int
	of, index expression
	attribute bool
}

func (e *item) eval(r *renderer, s *scope) (any, error) {
	if err := r.step(1); err != nil {
		return nil, err
	}
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	index, err := e.index.eval(r, s)
	if err != nil {
		return nil, err
	}
	value, err := get(of, index, e.attribute)
	return value, at(e.line, err)
}

// get is a value's item, or its attribute.
func get(of, index any, attribute bool) (any, error) {
	name, isName := index.(Text)
	switch v := of.(type) {
	case undefined:
		return nil, fmt.Errorf("%s is undefined", v.name)
	case *Dict:
		if hashable(index) == nil {
			if value, ok := v.get(index); ok {
				return value, nil
			}
		}
	case *namespace:
		if value, ok := v.get(index); ok && isName {
			return value, nil
		}
	case *loopValue:
		if isName {
			return v.get(name.s), nil
		}
	case *list, Text:
		if i, ok := integer(index); ok && !isView(of) {
			return indexed(of, i), nil
		}
	}
	if isName && attribute && isMethod(name.s) {
		return method{of, name.s}, nil
	}
	if text, err := show(index); err == nil {
		return undefined{text.s}, nil
	}
	return undefined{"the item"}, nil
}

func isView(value any) bool {
	l, ok := value.(*list)
	return ok && l.view
}

// indexed is the item of a list or a string at a place, which counts from the end where it is negative.
func indexed(of any, i int64) any {
	var n int64
	text, isText := of.(Text)
	if isText {
		n = int64(utf8.RuneCountInString(text.s))
	} else {
		n = int64(len(of.(*list).items))
	}
	if i < 0 {
		i += n
	}
	switch {
	case i < 0 || i >= n:
		return undefined{"the item"}
	case isText:
		return text.runes()[i]
	}
	return of.(*list).items[i]
}

func (v *loopValue) get(name string) any {
	n := len(v.items)
	switch name {
	case "index":
		return int64(v.index + 1)
	case "index0":
		return int64(v.index)
	case "revindex":
		return int64(n - v.index)
	case "revindex0":
		return int64(n - v.index - 1)
	case "first":
		return v.index == 0
	case "last":
		return v.index == n-1
	case "length":
		return int64(n)
	case "depth":
		return int64(v.depth)
	case "depth0":
		return int64(v.depth - 1)
	case "previtem":
		if v.index > 0 {
			return v.items[v.index-1]
		}
	case "nextitem":
		if v.index < n-1 {
			return v.items[v.index+1]
		}
	}
	return undefined{"loop." + name}
}
