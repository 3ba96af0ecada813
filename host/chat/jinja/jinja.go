// Package jinja renders chat templates: the part of Jinja2 that they use, with the settings that the transformers library has for them
// (trim_blocks, lstrip_blocks, loop controls, its own tojson). A construct that is not part of it is refused by name when the template is
// parsed. A rendering cannot reach files, other templates or the host, and ends within fixed bounds of work, depth and output.
//
// Every character knows where it comes from: from the template, or from values that were marked as foreign. The marks follow the characters
// through all operations, so that whoever reads the text can tell a special token that the template wrote from one that a user wrote.
package jinja

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of a template and its rendering.
const (
	MaxSource = 256 << 10 // bytes of a template
	MaxText   = 8 << 20   // bytes of a text, the output included
	maxSteps  = 2_000_000 // nodes evaluated, plus work that grows with a text's length
	maxDepth  = 100       // of expressions and blocks in each other, and of macros that call each other
	maxItems  = 100_000   // of a list
)

// ErrBounds is a rendering that was too much work, or too long.
var ErrBounds = errors.New("the template does more than is allowed")

// Raised is an error that a template raised itself, with raise_exception.
type Raised struct{ Message string }

func (e *Raised) Error() string { return e.Message }

// Template is a parsed template. It may be rendered by many goroutines at once.
type Template struct {
	body []node
}

// Parse reads a template. The error names the line, and what is not supported.
func Parse(source string) (*Template, error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("the template has %d bytes: at most %d are read", len(source), MaxSource)
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	body, _, err := p.statements()
	if err != nil {
		return nil, err
	}
	return &Template{body: body}, nil
}

// Render renders a template with variables; now is what strftime_now tells. Values are nil, bool, int, int64, float64, string, Text, []any,
// *Dict, and those that they hold. The error is a *Raised, ErrBounds, the context's, or says which operation has no meaning.
func (t *Template) Render(ctx context.Context, variables map[string]any, now func() time.Time) (Text, error) {
	r := &renderer{ctx: ctx, now: now}
	global := &scope{names: map[string]any{}}
	for name, value := range variables {
		v, err := fromGo(value)
		if err != nil {
			return Text{}, fmt.Errorf("variable %s: %w", name, err)
		}
		global.names[name] = v
	}
	top := &scope{names: map[string]any{}, parent: global}
	if _, err := r.run(t.body, top); err != nil {
		return Text{}, err
	}
	return r.out.text(), nil
}

// step counts work.
func (r *renderer) step(n int) error {
	before := r.steps
	r.steps += n
	if r.steps > maxSteps {
		return ErrBounds
	}
	if before>>10 != r.steps>>10 {
		return r.ctx.Err()
	}
	return nil
}
