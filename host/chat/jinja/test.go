package jinja

import (
	"fmt"
	"strings"
)

// tests by name: what stands after "is".
var tests = map[string]func(r *renderer, of any, args arguments) (bool, error){
	"defined":     kindTest(func(v any) bool { _, ok := v.(undefined); return !ok }),
	"undefined":   kindTest(func(v any) bool { _, ok := v.(undefined); return ok }),
	"none":        kindTest(func(v any) bool { return v == nil }),
	"boolean":     kindTest(func(v any) bool { _, ok := v.(bool); return ok }),
	"true":        kindTest(func(v any) bool { return v == true }),
	"false":       kindTest(func(v any) bool { return v == false }),
	"integer":     kindTest(func(v any) bool { _, ok := v.(int64); return ok }),
	"float":       kindTest(func(v any) bool { _, ok := v.(float64); return ok }),
	"number":      kindTest(func(v any) bool { _, ok := number(v); return ok }),
	"string":      kindTest(func(v any) bool { _, ok := v.(Text); return ok }),
	"mapping":     kindTest(func(v any) bool { _, ok := v.(*Dict); return ok }),
	"iterable":    kindTest(func(v any) bool { _, err := iterate(v); return err == nil }),
	"sequence":    kindTest(isSequence),
	"callable":    kindTest(isCallable),
	"lower":       kindTest(func(v any) bool { t, ok := v.(Text); return ok && isCased(t.s, false) }),
	"upper":       kindTest(func(v any) bool { t, ok := v.(Text); return ok && isCased(t.s, true) }),
	"even":        remainderTest(0),
	"odd":         remainderTest(1),
	"divisibleby": divisibleTest,
	"in": func(r *renderer, of any, args arguments) (bool, error) {
		values, err := args.bind(1, "seq")
		if err != nil {
			return false, err
		}
		return r.contains(values[0], of)
	},
	"eq": compareTest("=="), "equalto": compareTest("=="), "==": compareTest("=="), "ne": compareTest("!="), "!=": compareTest("!="),
	"lt": compareTest("<"), "lessthan": compareTest("<"), "<": compareTest("<"), "le": compareTest("<="), "<=": compareTest("<="),
	"gt": compareTest(">"), "greaterthan": compareTest(">"), ">": compareTest(">"), "ge": compareTest(">="), ">=": compareTest(">="),
}

func kindTest(holds func(any) bool) func(*renderer, any, arguments) (bool, error) {
	return func(_ *renderer, of any, args arguments) (bool, error) {
		_, err := args.bind(0)
		return holds(of), err
	}
}

func isSequence(value any) bool {
	switch value.(type) {
	case Text, *list, *Dict, undefined: // Jinja2 asks for a length and items, which these have
		return true
	}
	return false
}

func isCallable(value any) bool {
	switch value.(type) {
	case function, method, undefined:
		return true
	}
	return false
}

func compareTest(operator string) func(*renderer, any, arguments) (bool, error) {
	return func(r *renderer, of any, args arguments) (bool, error) {
		values, err := args.bind(1, "b")
		if err != nil {
			return false, err
		}
		return r.compare(operator, of, values[0])
	}
}

func remainderTest(want int64) func(*renderer, any, arguments) (bool, error) {
	return func(_ *renderer, of any, args arguments) (bool, error) {
		_, err := args.bind(0)
		i, ok := integer(of)
		if err == nil && !ok {
			err = fmt.Errorf("a %s is neither even nor odd", kindOf(of))
		}
		return i&1 == want, err
	}
}

func divisibleTest(_ *renderer, of any, args arguments) (bool, error) {
	values, err := args.bind(1, "num")
	if err != nil {
		return false, err
	}
	i, okI := integer(of)
	n, okN := integer(values[0])
	if !okI || !okN || n == 0 {
		return false, fmt.Errorf("want whole numbers other than 0")
	}
	return i%n == 0, nil
}

// isCased is Python's isupper or islower of what it is used on here: some letter has a case, and none has the other one.
func isCased(s string, upper bool) bool {
	up, low := strings.ToUpper(s), strings.ToLower(s)
	return up != low && (upper && s == up || !upper && s == low)
}
