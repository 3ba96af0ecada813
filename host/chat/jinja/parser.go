package jinja

import (
	"fmt"
	"slices"
)

// parser makes nodes of tokens.
type parser struct {
	tokens []token
	at     int
	depth  int // of what is being parsed
	loops  int // that break and continue are in
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != endToken {
		p.at++
	}
	return t
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %w", p.peek().line, fmt.Errorf(format, args...))
}

// enter bounds how deep what is parsed may be; the caller calls what it returns.
func (p *parser) enter() (func(), error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.errorf("more than %d expressions or blocks are in each other", maxDepth)
	}
	return func() { p.depth-- }, nil
}

// is reports whether the next token is this operator or name.
func (p *parser) is(values ...string) bool {
	t := p.peek()
	return (t.kind == operatorToken || t.kind == nameToken) && slices.Contains(values, t.value)
}

// accept takes the next token if it is this operator or name.
func (p *parser) accept(value string) bool {
	if p.is(value) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(value string) error {
	if !p.accept(value) {
		return p.errorf("want %s, not %s", value, p.peek().describe())
	}
	return nil
}

func (t token) describe() string {
	switch t.kind {
	case blockEnd, variableEnd:
		return "the end of the tag"
	case endToken:
		return "the end of the template"
	}
	return fmt.Sprintf("%q", t.value)
}

func (p *parser) name() (string, error) {
	if t := p.peek(); t.kind == nameToken {
		p.at++
		return t.value, nil
	}
	return "", p.errorf("want a name, not %s", p.peek().describe())
}

func (p *parser) end(k kind) error {
	if p.peek().kind != k {
		return p.errorf("want the end of the tag, not %s", p.peek().describe())
	}
	p.at++
	return nil
}

// statements parses to the end of the template, or to a block tag that is one of until, whose name it returns, with the tag's name taken.
func (p *parser) statements(until ...string) (body []node, ended string, err error) {
	leave, err := p.enter()
	if err != nil {
		return nil, "", err
	}
	defer leave()
	start := p.peek().line
	for {
		switch t := p.take(); t.kind {
		case textToken:
			body = append(body, &output{line: t.line, value: literal{Own(t.value)}})
		case variableBegin:
			value, err := p.tuple()
			if err == nil {
				err = p.end(variableEnd)
			}
			if err != nil {
				return nil, "", err
			}
			body = append(body, &output{line: t.line, value: value})
		case blockBegin:
			name, err := p.name()
			if err != nil {
				return nil, "", err
			}
			if slices.Contains(until, name) {
				return body, name, nil
			}
			n, err := p.statement(name, t.line)
			if err != nil {
				return nil, "", err
			}
			body = append(body, n)
		case endToken:
			if len(until) > 0 {
				return nil, "", fmt.Errorf("line %d: want %v before the end of the template", start, until)
			}
			return body, "", nil
		default:
			return nil, "", p.errorf("%s is out of place", t.describe())
		}
	}
}

// statement parses what follows a block tag's name.
func (p *parser) statement(name string, line int) (node, error) {
	switch name {
	case "if":
		return p.ifBlock(line)
	case "for":
		return p.forBlock(line)
	case "set":
		return p.setBlock(line)
	case "macro":
		return p.macroBlock(line)
	case "filter":
		filter, err := p.filters(nil)
		if err == nil {
			err = p.end(blockEnd)
		}
		if err != nil {
			return nil, err
		}
		body, err := p.block("endfilter")
		return &filterBlock{line: line, filter: filter, body: body}, err
	case "generation": // marks what an assistant said, for training
		if err := p.end(blockEnd); err != nil {
			return nil, err
		}
		body, err := p.block("endgeneration")
		return &group{body: body}, err
	case "break", "continue":
		if p.loops == 0 {
			return nil, p.errorf("%s is in no loop", name)
		}
		return &jump{name == "break"}, p.end(blockEnd)
	}
	return nil, p.errorf("the block %q is not supported", name)
}

// block parses to the named tag and its end.
func (p *parser) block(until string) ([]node, error) {
	body, _, err := p.statements(until)
	if err == nil {
		err = p.end(blockEnd)
	}
	return body, err
}

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
