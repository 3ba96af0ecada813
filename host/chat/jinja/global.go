package jinja

import (
	"fmt"
	"strings"
	"time"
)

// globals are the functions that a template can call by name.
var globals = map[string]function{
	"raise_exception": func(_ *renderer, args arguments) (any, error) {
		values, err := args.bind(1, "message")
		if err != nil {
			return nil, err
		}
		text, err := show(values[0])
		if err != nil {
			return nil, err
		}
		return nil, &Raised{text.s}
	},
	"strftime_now": func(r *renderer, args arguments) (any, error) {
		values, err := args.bind(1, "format")
		if err != nil {
			return nil, err
		}
		format, ok := values[0].(Text)
		if !ok {
			return nil, fmt.Errorf("strftime_now wants a format")
		}
		text, err := strftime(format.s, r.now())
		return Own(text), err
	},
	"namespace": func(_ *renderer, args arguments) (any, error) {
		d, err := dict(args)
		if err != nil {
			return nil, err
		}
		return &namespace{*d}, nil
	},
	"dict": func(_ *renderer, args arguments) (any, error) { return dict(args) },
	"range": func(r *renderer, args arguments) (any, error) {
		bounds := []int64{0, 0, 1}
		if len(args.names) > 0 || len(args.places) < 1 || len(args.places) > 3 {
			return nil, fmt.Errorf("range wants 1 to 3 whole numbers")
		}
		for i, place := range args.places {
			n, ok := integer(place)
			if !ok {
				return nil, fmt.Errorf("range wants whole numbers, not a %s", kindOf(place))
			}
			bounds[i] = n
		}
		if len(args.places) == 1 {
			bounds[0], bounds[1] = 0, bounds[0]
		}
		if bounds[2] == 0 {
			return nil, fmt.Errorf("the step of a range is 0")
		}
		out := &list{}
		for i := bounds[0]; bounds[2] > 0 && i < bounds[1] || bounds[2] < 0 && i > bounds[1]; {
			if len(out.items) == maxItems {
				return nil, ErrBounds
			}
			out.items = append(out.items, i)
			next := i + bounds[2]
			if (next > i) != (bounds[2] > 0) {
				break // beyond 64 bits
			}
			i = next
		}
		return out, r.step(len(out.items))
	},
}

// dict makes a dict of arguments with names, and of another dict in front of them.
func dict(args arguments) (*Dict, error) {
	out := &Dict{}
	switch {
	case len(args.places) == 1:
		from, ok := args.places[0].(*Dict)
		if !ok {
			return nil, fmt.Errorf("want a dict, not a %s", kindOf(args.places[0]))
		}
		for _, key := range from.keys {
			value, _ := from.get(key)
			out.put(key, value)
		}
	case len(args.places) > 1:
		return nil, fmt.Errorf("want one dict at most")
	}
	for _, name := range args.order {
		out.Put(name, args.names[name])
	}
	return out, nil
}

// strftime is Python's, of the directives that are the same in every place.
func strftime(format string, t time.Time) (string, error) {
	layouts := map[byte]string{'d': "02", 'm': "01", 'Y': "2006", 'y': "06", 'B': "January", 'b': "Jan", 'A': "Monday", 'a': "Mon",
		'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05"}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			return "", fmt.Errorf("the format of strftime_now ends with %%")
		}
		layout, ok := layouts[format[i]]
		switch {
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == '-' && i+1 < len(format) && strings.IndexByte("dmHIMS", format[i+1]) >= 0: // without a 0 in front
			i++
			digits := strings.TrimPrefix(t.Format(layouts[format[i]]), "0")
			b.WriteString(digits)
		case ok:
			b.WriteString(t.Format(layout))
		default:
			return "", fmt.Errorf("%%%c of strftime_now is not supported", format[i])
		}
	}
	return b.String(), nil
}
