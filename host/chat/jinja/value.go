package jinja

import (
	"fmt"
	"math"
)

// The values of a rendering are: undefined, nil for None, bool, int64, float64, Text, *list, *Dict, *namespace, *loopValue and function.

// undefined is what has no value. It prints as nothing and is false; nearly everything else about it is an error, as in Jinja2.
type undefined struct{ name string }

// list is a Python list or tuple.
type list struct {
	items []any
	tuple bool
	view  bool // of a dict: what its methods give, which has no order to index and prints in a way of its own
}

// Dict is a mapping that keeps the order of its keys.
type Dict struct {
	keys   []any
	values map[any]any // by key, or by string where the key is a Text
}

// Put sets a key, after those there are.
func (d *Dict) Put(key string, value any) { d.put(Own(key), value) }

func (d *Dict) put(key, value any) {
	if d.values == nil {
		d.values = map[any]any{}
	}
	if _, ok := d.values[hash(key)]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[hash(key)] = value
}

func (d *Dict) get(key any) (any, bool) {
	v, ok := d.values[hash(key)]
	return v, ok
}

// hash is equal for keys that are equal in Python.
func hash(key any) any {
	switch k := key.(type) {
	case Text:
		return k.s
	case bool:
		if k {
			return int64(1)
		}
		return int64(0)
	case float64:
		if k == math.Trunc(k) && math.Abs(k) < 1<<53 {
			return int64(k)
		}
	}
	return key
}

// hashable refuses what is no key.
func hashable(key any) error {
	switch key.(type) {
	case nil, bool, int64, float64, Text:
		return nil
	}
	return fmt.Errorf("a %s is no key", kindOf(key))
}

// namespace is what namespace() makes: attributes that loops can set.
type namespace struct{ Dict }

type function func(r *renderer, args arguments) (any, error)

// fromGo makes a value of what a caller gives.
func fromGo(value any) (any, error) {
	switch v := value.(type) {
	case nil, bool, int64, float64, Text:
		return v, nil
	case int:
		return int64(v), nil
	case string:
		return Own(v), nil
	case []any:
		out := &list{items: make([]any, len(v))}
		for i, item := range v {
			var err error
			if out.items[i], err = fromGo(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *Dict:
		out := &Dict{}
		for _, key := range v.keys {
			item, _ := v.get(key)
			item, err := fromGo(item)
			if err != nil {
				return nil, err
			}
			out.put(key, item)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %T is no value of a template", value)
}

func kindOf(value any) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case undefined:
		return "undefined value"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case Text:
		return "string"
	case *list:
		if v.tuple {
			return "tuple"
		}
		return "list"
	case *Dict:
		return "dict"
	case *namespace:
		return "namespace"
	}
	return "function"
}

// truth is Python's bool().
func truth(value any) bool {
	switch v := value.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case Text:
		return v.s != ""
	case *list:
		return len(v.items) > 0
	case *Dict:
		return len(v.keys) > 0
	}
	return true
}

// maxCompared bounds the values that one comparison looks at: lists that hold each other twice have many more than they take memory.
const maxCompared = 100_000

// equal is Python's ==.
func (r *renderer) equal(a, b any) (bool, error) {
	left := maxCompared
	same := equalWithin(a, b, &left)
	if left < 0 {
		return false, ErrBounds
	}
	return same, r.step(maxCompared - left)
}

// equalWithin counts down for each value it looks at, and stops below 0.
func equalWithin(a, b any, left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	switch x := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case Text:
		y, ok := b.(Text)
		return ok && x.s == y.s
	case *list:
		y, ok := b.(*list)
		if !ok || len(x.items) != len(y.items) || x.tuple != y.tuple {
			return false
		}
		for i := range x.items {
			if !equalWithin(x.items[i], y.items[i], left) {
				return false
			}
		}
		return true
	case *Dict:
		y, ok := b.(*Dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false
		}
		for _, key := range x.keys {
			v, _ := x.get(key)
			if w, ok := y.get(key); !ok || !equalWithin(v, w, left) {
				return false
			}
		}
		return true
	case *namespace:
		y, ok := b.(*namespace)
		return ok && x == y
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return x == y
		}
	}
	return false
}

// number is the value of a bool, an int or a float.
func number(value any) (float64, bool) {
	switch v := value.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// integer is the value of a bool or an int.
func integer(value any) (int64, bool) {
	switch v := value.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return v, true
	}
	return 0, false
}
