package jinja

import ()

func (p *parser) ifBlock(line int) (node, error) {
	condition, err := p.tuple()
	if err == nil {
		err = p.end(blockEnd)
	}
	if err != nil {
		return nil, err
	}
	n := &branch{line: line, condition: condition}
	body, ended, err := p.statements("elif", "else", "endif")
	if err != nil {
		return nil, err
	}
	n.then = body
	switch ended {
	case "elif":
		leave, err := p.enter()
		if err != nil {
			return nil, err
		}
		defer leave()
		more, err := p.ifBlock(p.peek().line)
		n.otherwise = []node{more}
		return n, err
	case "else":
		if err := p.end(blockEnd); err != nil {
			return nil, err
		}
		n.otherwise, err = p.block("endif")
		return n, err
	}
	return n, p.end(blockEnd)
}

func (p *parser) forBlock(line int) (node, error) {
	n := &loop{line: line}
	var err error
	if n.targets, err = p.names(); err != nil {
		return nil, err
	}
	if err = p.expect("in"); err != nil {
		return nil, err
	}
	if n.over, err = p.tupleOf(p.or); err != nil {
		return nil, err
	}
	if p.accept("if") {
		if n.condition, err = p.expression(); err != nil {
			return nil, err
		}
	}
	if p.is("recursive") {
		return nil, p.errorf("recursive loops are not supported")
	}
	if err = p.end(blockEnd); err != nil {
		return nil, err
	}
	p.loops++
	body, ended, err := p.statements("else", "endfor")
	p.loops--
	if n.body = body; err != nil {
		return nil, err
	}
	if err = p.end(blockEnd); err == nil && ended == "else" {
		n.otherwise, err = p.block("endfor")
	}
	return n, err
}

// names parses the targets of a loop.
func (p *parser) names() ([]string, error) {
	var names []string
	parenthesis := p.accept("(")
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		if !p.accept(",") {
			break
		}
	}
	if parenthesis {
		return names, p.expect(")")
	}
	return names, nil
}

func (p *parser) setBlock(line int) (node, error) {
	n := &assign{line: line}
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		attribute := ""
		if p.accept(".") {
			if attribute, err = p.name(); err != nil {
				return nil, err
			}
		}
		n.targets = append(n.targets, target{name, attribute})
		if !p.accept(",") {
			break
		}
	}
	var err error
	if p.accept("=") {
		if n.value, err = p.tuple(); err != nil {
			return nil, err
		}
		return n, p.end(blockEnd)
	}
	if len(n.targets) > 1 {
		return nil, p.errorf("a block is set to one name")
	}
	if p.is("|") {
		if n.filter, err = p.filters(nil); err != nil {
			return nil, err
		}
	}
	if err := p.end(blockEnd); err != nil {
		return nil, err
	}
	n.body, err = p.block("endset")
	return n, err
}

func (p *parser) macroBlock(line int) (node, error) {
	n := &macro{line: line}
	var err error
	if n.name, err = p.name(); err != nil {
		return nil, err
	}
	if err = p.expect("("); err != nil {
		return nil, err
	}
	for !p.accept(")") {
		var parameter parameter
		if parameter.name, err = p.name(); err != nil {
			return nil, err
		}
		if p.accept("=") {
			if parameter.value, err = p.expression(); err != nil {
				return nil, err
			}
		}
		n.parameters = append(n.parameters, parameter)
		if !p.accept(",") && !p.is(")") {
			return nil, p.errorf("want , or ), not %s", p.peek().describe())
		}
	}
	if err := p.end(blockEnd); err != nil {
		return nil, err
	}
	loops := p.loops
	p.loops = 0
	n.body, err = p.block("endmacro")
	p.loops = loops
	return n, err
}
