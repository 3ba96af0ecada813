package jinja

import "strconv"

// The methods here are the rules of Jinja2's grammar, from the loosest binding to the tightest.

// tuple parses an expression, or several with commas between them.
func (p *parser) tuple() (expression, error) { return p.tupleOf(p.expression) }

func (p *parser) tupleOf(rule func() (expression, error)) (expression, error) {
	first, err := rule()
	if err != nil || !p.is(",") {
		return first, err
	}
	items := []expression{first}
	for p.accept(",") {
		if k := p.peek().kind; k == blockEnd || k == variableEnd || p.is(")", "=", "in") {
			break
		}
		item, err := rule()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return &listOf{items, true}, nil
}

// expression is: a if b else c.
func (p *parser) expression() (expression, error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	value, err := p.or()
	for err == nil && p.accept("if") {
		c := &conditional{then: value}
		if c.condition, err = p.or(); err != nil {
			return nil, err
		}
		if p.accept("else") {
			if c.otherwise, err = p.expression(); err != nil {
				return nil, err
			}
		}
		value = c
	}
	return value, err
}

// left parses operators that bind to the left.
func (p *parser) left(rule func() (expression, error), operators ...string) (expression, error) {
	value, err := rule()
	for err == nil && p.is(operators...) {
		t := p.take()
		b := &binary{line: t.line, operator: t.value, left: value}
		b.right, err = rule()
		value = b
	}
	return value, err
}

func (p *parser) or() (expression, error)  { return p.left(p.and, "or") }
func (p *parser) and() (expression, error) { return p.left(p.not, "and") }

func (p *parser) not() (expression, error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if p.accept("not") {
		value, err := p.not()
		return &negation{value}, err
	}
	return p.compare()
}

func (p *parser) compare() (expression, error) {
	first, err := p.sum()
	if err != nil {
		return nil, err
	}
	c := &comparison{line: p.peek().line, first: first}
	for {
		operator := p.peek().value
		switch {
		case p.is("==", "!=", "<", "<=", ">", ">=", "in"):
			p.at++
		case p.is("not") && p.tokens[p.at+1].kind == nameToken && p.tokens[p.at+1].value == "in":
			operator = "not in"
			p.at += 2
		default:
			if len(c.rest) == 0 {
				return first, nil
			}
			return c, nil
		}
		right, err := p.sum()
		if err != nil {
			return nil, err
		}
		c.rest = append(c.rest, compared{operator, right})
	}
}

func (p *parser) sum() (expression, error)     { return p.left(p.tilde, "+", "-") }
func (p *parser) tilde() (expression, error)   { return p.left(p.product, "~") }
func (p *parser) product() (expression, error) { return p.left(p.power, "*", "/", "//", "%") }
func (p *parser) power() (expression, error) {
	return p.left(func() (expression, error) { return p.unary(true) }, "**")
}

func (p *parser) unary(filtered bool) (value expression, err error) {
	leave, err := p.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	line := p.peek().line
	switch {
	case p.is("-", "+"):
		operator := p.take().value
		operand, err := p.unary(false)
		if err != nil {
			return nil, err
		}
		value = &sign{line, operator == "-", operand}
	default:
		if value, err = p.primary(); err != nil {
			return nil, err
		}
	}
	if value, err = p.postfix(value); err == nil && filtered {
		value, err = p.filters(value)
	}
	return value, err
}

func (p *parser) primary() (expression, error) {
	start := p.at
	switch t := p.take(); t.kind {
	case nameToken:
		switch t.value {
		case "true", "True":
			return literal{true}, nil
		case "false", "False":
			return literal{false}, nil
		case "none", "None":
			return literal{nil}, nil
		case "if", "else", "elif", "in", "is", "not", "and", "or":
		default:
			return variable{t.value}, nil
		}
	case stringToken:
		s := t.value
		for p.peek().kind == stringToken {
			s += p.take().value
		}
		return literal{Own(s)}, nil
	case integerToken:
		i, err := strconv.ParseInt(t.value, 10, 64)
		if err != nil || len(t.value) > 1 && t.value[0] == '0' && i != 0 {
			return nil, p.errorf("%s is no number", t.value)
		}
		return literal{i}, nil
	case floatToken:
		f, err := strconv.ParseFloat(t.value, 64)
		if err != nil {
			return nil, p.errorf("%s is no number", t.value)
		}
		return literal{f}, nil
	case operatorToken:
		switch t.value {
		case "(":
			if p.accept(")") {
				return &listOf{nil, true}, nil
			}
			value, err := p.tuple()
			if err != nil {
				return nil, err
			}
			return value, p.expect(")")
		case "[":
			items, err := p.items("]")
			return &listOf{items, false}, err
		case "{":
			return p.dict()
		}
	}
	p.at = start
	return nil, p.errorf("%s is out of place", p.peek().describe())
}

// items parses expressions to a closing bracket.
func (p *parser) items(closing string) ([]expression, error) {
	var items []expression
	for !p.accept(closing) {
		item, err := p.expression()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if !p.accept(",") && !p.is(closing) {
			return nil, p.errorf("want , or %s, not %s", closing, p.peek().describe())
		}
	}
	return items, nil
}

func (p *parser) dict() (expression, error) {
	d := &dictOf{line: p.peek().line}
	for !p.accept("}") {
		key, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		d.keys, d.values = append(d.keys, key), append(d.values, value)
		if !p.accept(",") && !p.is("}") {
			return nil, p.errorf("want , or }, not %s", p.peek().describe())
		}
	}
	return d, nil
}
