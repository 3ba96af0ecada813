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
