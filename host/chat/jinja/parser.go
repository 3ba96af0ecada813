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
