package jinja

import (
	"fmt"
	"math"
	"strings"
)

type binary struct {
	line        int
	operator    string
	left, right expression
}

func (e *binary) eval(r *renderer, s *scope) (any, error) {
	if err := r.step(1); err != nil {
		return nil, err
	}
	left, err := e.left.eval(r, s)
	if err != nil {
		return nil, err
	}
	if e.operator == "and" && !truth(left) || e.operator == "or" && truth(left) {
		return left, nil
	}
	right, err := e.right.eval(r, s)
	if err != nil || e.operator == "and" || e.operator == "or" {
		return right, err
	}
	value, err := r.operate(e.operator, left, right)
	return value, at(e.line, err)
}

// operate computes left operator right.
func (r *renderer) operate(operator string, left, right any) (any, error) {
	if operator == "~" {
		a, err := show(left)
		if err != nil {
			return nil, err
		}
		b, err := show(right)
		if err != nil {
			return nil, err
		}
		return r.join(a, b)
	}
	for _, side := range []any{left, right} {
		if u, ok := side.(undefined); ok {
			return nil, fmt.Errorf("%s is undefined", u.name)
		}
	}
	switch a := left.(type) {
	case Text:
		if b, ok := right.(Text); ok && operator == "+" {
			return r.join(a, b)
		}
		if n, ok := integer(right); ok && operator == "*" {
			return r.repeat(a, n)
		}
	case *list:
		if b, ok := right.(*list); ok && operator == "+" && a.tuple == b.tuple && !a.view && !b.view {
			if len(a.items)+len(b.items) > maxItems {
				return nil, ErrBounds
			}
			items := append(append([]any{}, a.items...), b.items...)
			return &list{items: items, tuple: a.tuple}, r.step(len(items)/16 + 1)
		}
	}
	if n, ok := integer(left); ok && operator == "*" {
		if b, ok := right.(Text); ok {
			return r.repeat(b, n)
		}
	}
	a, okA := integer(left)
	b, okB := integer(right)
	if okA && okB && operator != "/" && !(operator == "**" && b < 0) {
		return integers(operator, a, b)
	}
	x, okX := number(left)
	y, okY := number(right)
	if okX && okY {
		return floats(operator, x, y)
	}
	return nil, fmt.Errorf("%s %s %s is not supported", kindOf(left), operator, kindOf(right))
}

// join puts one text behind another.
func (r *renderer) join(texts ...Text) (any, error) {
	n := 0
	for _, t := range texts {
		n += len(t.s)
	}
	if n > MaxText {
		return nil, ErrBounds
	}
	return concat(texts...), r.step(n/64 + 1)
}

func (r *renderer) repeat(t Text, n int64) (any, error) {
	if n <= 0 || t.s == "" {
		return Text{}, nil
	}
	if n > int64(MaxText/len(t.s)) {
		return nil, ErrBounds
	}
	out := Text{s: strings.Repeat(t.s, int(n))}
	for i := 0; t.foreign != nil && i < int(n); i++ {
		out.foreign = append(out.foreign, t.foreign...)
	}
	return out, r.step(len(out.s)/64 + 1)
}

var errNumber = fmt.Errorf("a number is too large, or divided by 0")

// integers computes with whole numbers as Python does; those beyond 64 bits are refused.
func integers(operator string, a, b int64) (any, error) {
	switch operator {
	case "+":
		if c := a + b; (c > a) == (b > 0) {
			return c, nil
		}
	case "-":
		if c := a - b; (c < a) == (b > 0) {
			return c, nil
		}
	case "*":
		if a == 0 || b == 0 {
			return int64(0), nil
		}
		if c := a * b; c/b == a && !(a == -1 && b == math.MinInt64) && !(b == -1 && a == math.MinInt64) {
			return c, nil
		}
	case "//", "%":
		if b == 0 || a == math.MinInt64 && b == -1 {
			return nil, errNumber
		}
		quotient, rest := a/b, a%b
		if rest != 0 && (rest < 0) != (b < 0) {
			quotient, rest = quotient-1, rest+b
		}
		if operator == "//" {
			return quotient, nil
		}
		return rest, nil
	case "**":
		result := int64(1)
		if a == 0 || a == 1 || a == -1 {
			if b > 1 {
				b = 2 - b%2
			}
		}
		for range min(b, 64) {
			if a != 0 && (result > math.MaxInt64/max(a, -a) || result < math.MinInt64/max(a, -a)) {
				return nil, errNumber
			}
			result *= a
		}
		return result, nil
	default:
		return nil, fmt.Errorf("the operator %s is not supported", operator)
	}
	return nil, errNumber
}

func floats(operator string, x, y float64) (any, error) {
	switch operator {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/", "//", "%":
		if y == 0 {
			return nil, errNumber
		}
		if operator == "/" {
			return x / y, nil
		}
		rest := math.Mod(x, y)
		if rest != 0 && (rest < 0) != (y < 0) {
			rest += y
		}
		if operator == "%" {
			return rest, nil
		}
		return math.Floor((x-rest)/y + 0.5), nil
	case "**":
		if z := math.Pow(x, y); !math.IsNaN(z) && !math.IsInf(z, 0) {
			return z, nil
		}
		return nil, errNumber
	}
	return nil, fmt.Errorf("the operator %s is not supported", operator)
}

type sign struct {
	line     int
	negative bool
	of       expression
}

func (e *sign) eval(r *renderer, s *scope) (any, error) {
	value, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	if i, ok := integer(value); ok {
		if e.negative {
			i = -i
		}
		return i, nil
	}
	if f, ok := value.(float64); ok {
		if e.negative {
			f = -f
		}
		return f, nil
	}
	return nil, at(e.line, fmt.Errorf("a %s has no sign", kindOf(value)))
}

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
		holds, err := compare(c.operator, left, right)
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

func compare(operator string, left, right any) (bool, error) {
	switch operator {
	case "==":
		return equal(left, right), nil
	case "!=":
		return !equal(left, right), nil
	case "in":
		return contains(right, left)
	case "not in":
		holds, err := contains(right, left)
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
func contains(in, value any) (bool, error) {
	switch v := in.(type) {
	case Text:
		if part, ok := value.(Text); ok {
			return strings.Contains(v.s, part.s), nil
		}
		return false, fmt.Errorf("a %s is in no string", kindOf(value))
	case *list:
		for _, one := range v.items {
			if equal(one, value) {
				return true, nil
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
