package jinja

import (
	"slices"
	"strconv"
)

// postfix parses what follows a value directly: attributes, items and calls.
func (p *parser) postfix(value expression) (expression, error) {
	for {
		line := p.peek().line
		switch {
		case p.accept("."):
			if p.peek().kind == integerToken {
				i, err := strconv.ParseInt(p.take().value, 10, 64)
				if err != nil {
					return nil, p.errorf("want an index")
				}
				value = &item{line: line, of: value, index: literal{i}}
				continue
			}
			name, err := p.name()
			if err != nil {
				return nil, err
			}
			if p.is("(") && !isMethod(name) {
				return nil, p.errorf("the method %q is not supported", name)
			}
			value = &item{line: line, of: value, index: literal{Own(name)}, attribute: true}
		case p.accept("["):
			next, err := p.subscript(value, line)
			if err != nil {
				return nil, err
			}
			value = next
		case p.is("("):
			args, err := p.arguments()
			if err != nil {
				return nil, err
			}
			if name, ok := value.(variable); ok && slices.Contains(unsupportedGlobals, name.name) {
				return nil, p.errorf("the function %q is not supported", name.name)
			}
			value = &call{line: line, of: value, arguments: args}
		default:
			return value, nil
		}
	}
}

// unsupportedGlobals are functions that Jinja2 has and templates here have not.
var unsupportedGlobals = []string{"cycler", "joiner", "lipsum"}

// subscript parses an index or a slice, after its bracket.
func (p *parser) subscript(of expression, line int) (expression, error) {
	var bounds [3]expression
	n := 0
	for {
		if !p.is(":", "]") {
			value, err := p.expression()
			if err != nil {
				return nil, err
			}
			bounds[n] = value
		}
		if n == 2 || !p.accept(":") {
			break
		}
		n++
	}
	if err := p.expect("]"); err != nil {
		return nil, err
	}
	if n > 0 {
		return &slice{line: line, of: of, bounds: bounds}, nil
	}
	if bounds[0] == nil {
		return nil, p.errorf("an index is missing")
	}
	return &item{line: line, of: of, index: bounds[0]}, nil
}

// given is one argument of a call; name is "" for one that is told by its place.
type given struct {
	name  string
	value expression
}

func (p *parser) arguments() ([]given, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var out []given
	for !p.accept(")") {
		if p.is("*", "**") {
			return nil, p.errorf("arguments with * are not supported")
		}
		var g given
		if p.peek().kind == nameToken && p.tokens[p.at+1].kind == operatorToken && p.tokens[p.at+1].value == "=" {
			g.name = p.take().value
			p.at++
		} else if len(out) > 0 && out[len(out)-1].name != "" {
			return nil, p.errorf("an argument without a name follows one with a name")
		}
		var err error
		if g.value, err = p.expression(); err != nil {
			return nil, err
		}
		out = append(out, g)
		if !p.accept(",") && !p.is(")") {
			return nil, p.errorf("want , or ), not %s", p.peek().describe())
		}
	}
	return out, nil
}

// filters parses filters, tests and calls behind a value. A nil value is a filter block's: its first filter has no bar in front.
func (p *parser) filters(value expression) (expression, error) {
	first := value == nil
	if first {
		value = body{}
	}
	for {
		line := p.peek().line
		switch {
		case first && !p.is("|") || p.accept("|"):
			first = false
			name, err := p.name()
			if err != nil {
				return nil, err
			}
			if _, ok := filters[name]; !ok {
				return nil, p.errorf("the filter %q is not supported", name)
			}
			f := &filtered{line: line, name: name, of: value}
			if p.is("(") {
				if f.arguments, err = p.arguments(); err != nil {
					return nil, err
				}
			}
			value = f
		case p.accept("is"):
			next, err := p.test(value, line)
			if err != nil {
				return nil, err
			}
			value = next
		case p.is("("):
			args, err := p.arguments()
			if err != nil {
				return nil, err
			}
			value = &call{line: line, of: value, arguments: args}
		default:
			return value, nil
		}
		first = false
	}
}

func (p *parser) test(of expression, line int) (expression, error) {
	negated := p.accept("not")
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if _, ok := tests[name]; !ok {
		return nil, p.errorf("the test %q is not supported", name)
	}
	t := &tested{line: line, name: name, of: of}
	switch next := p.peek(); {
	case p.is("("):
		if t.arguments, err = p.arguments(); err != nil {
			return nil, err
		}
	case p.is("[", "{"), next.kind == stringToken, next.kind == integerToken, next.kind == floatToken,
		next.kind == nameToken && !p.is("else", "or", "and", "if", "is", "in", "not"):
		argument, err := p.primary()
		if err == nil {
			argument, err = p.postfix(argument)
		}
		if err != nil {
			return nil, err
		}
		t.arguments = []given{{value: argument}}
	}
	if negated {
		return &negation{t}, nil
	}
	return t, nil
}
