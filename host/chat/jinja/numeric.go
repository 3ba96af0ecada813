package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

func absFilter(_ *renderer, of any, args arguments) (any, error) {
	if _, err := args.bind(0); err != nil {
		return nil, err
	}
	switch v := of.(type) {
	case int64:
		return max(v, -v), nil
	case float64:
		return math.Abs(v), nil
	}
	return nil, fmt.Errorf("a %s has no absolute value", kindOf(of))
}

func intFilter(_ *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "default")
	if err != nil {
		return nil, err
	}
	if _, ok := values[0].(undefined); ok {
		values[0] = int64(0)
	}
	switch v := of.(type) {
	case Text:
		digits := strings.TrimFunc(v.s, isSpace)
		if i, err := strconv.ParseInt(digits, 10, 64); err == nil {
			return i, nil
		}
		if f, err := strconv.ParseFloat(digits, 64); err == nil && math.Abs(f) < 1<<53 {
			return int64(f), nil
		}
	case float64:
		if math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
	default:
		if i, ok := integer(of); ok {
			return i, nil
		}
	}
	return values[0], nil
}

func floatFilter(_ *renderer, of any, args arguments) (any, error) {
	values, err := args.bind(0, "default")
	if err != nil {
		return nil, err
	}
	if _, ok := values[0].(undefined); ok {
		values[0] = 0.0
	}
	if f, ok := number(of); ok {
		return f, nil
	}
	if text, ok := of.(Text); ok {
		if f, err := strconv.ParseFloat(strings.TrimFunc(text.s, isSpace), 64); err == nil {
			return f, nil
		}
	}
	return values[0], nil
}

func sumFilter(r *renderer, of any, args arguments) (any, error) {
	items, err := sequence(of, args)
	if err != nil {
		return nil, err
	}
	var total any = int64(0)
	for _, item := range items {
		if total, err = r.operate("+", total, item); err != nil {
			return nil, err
		}
	}
	return total, nil
}
