// Package chat makes prompts of conversations: it finds a model's chat template, renders it, and turns the text into token ids in which only
// the template's own text gives special tokens.
package chat

import (
	"context"
	"errors"
	"time"

	"github.com/tenon-ml/tenon/host/chat/jinja"
	"github.com/tenon-ml/tenon/host/fault"
)

// renderTime bounds one rendering.
const renderTime = 5 * time.Second

// Message is one turn of a conversation.
type Message struct {
	Role       string   // "system", "user", "assistant", "tool"
	Content    string   // where Parts is nil
	Parts      []string // texts of a content that was given in parts
	Name       string   // of who speaks, where it is told
	ToolCallID string   // of a tool's answer
}

// Conversation is what a template renders.
type Conversation struct {
	Messages []Message
	Answer   bool           // end with the beginning of an answer
	Options  map[string]any // variables of the template, such as enable_thinking: bool, float64 or string
}

// Template is a model's chat template. It may be used by many goroutines at once.
type Template struct {
	Name    string // the file that it is from, for people
	parsed  *jinja.Template
	special map[string]string // "bos_token" and the like
	now     func() time.Time
}

// Parse reads a template; name is for errors. special are the variables for special tokens, such as "bos_token".
func Parse(name, source string, special map[string]string) (*Template, error) {
	parsed, err := jinja.Parse(source)
	if err != nil {
		return nil, fault.New(fault.UsageFlag, "the chat template cannot be used: %v", err).In(name).
			Fix("give another one with --chat-template, or write prompts yourself for /v1/completions")
	}
	return &Template{Name: name, parsed: parsed, special: special, now: time.Now}, nil
}

// WithClock is the template with another time for strftime_now.
func (t *Template) WithClock(now func() time.Time) *Template {
	other := *t
	other.now = now
	return &other
}

// Render writes a conversation as the template has it. What the messages and options hold is foreign in the text; the roles are not. A
// conversation that the template refuses, or has no rendering for, is fault.UsageFlag.
func (t *Template) Render(ctx context.Context, c Conversation) (jinja.Text, error) {
	variables := map[string]any{}
	for name, value := range c.Options {
		if text, ok := value.(string); ok {
			value = jinja.Foreign(text)
		}
		variables[name] = value
	}
	variables["messages"], variables["add_generation_prompt"] = messages(c.Messages), c.Answer
	variables["tools"], variables["documents"] = nil, nil
	for name, token := range t.special {
		variables[name] = token
	}
	ctx, cancel := context.WithTimeout(ctx, renderTime)
	defer cancel()
	text, err := t.parsed.Render(ctx, variables, t.now)
	var raised *jinja.Raised
	switch {
	case err == nil:
		return text, nil
	case errors.As(err, &raised):
		return text, fault.New(fault.UsageFlag, "the model's chat template refuses the messages: %q", cut(raised.Message))
	case errors.Is(err, context.Canceled):
		return text, err
	}
	return text, fault.New(fault.UsageFlag, "the model's chat template cannot render the messages: %v", err)
}

// cut bounds a message of a template.
func cut(s string) string {
	if runes := []rune(s); len(runes) > 300 {
		return string(runes[:300]) + "…"
	}
	return s
}

// messages are what a template sees of a conversation.
func messages(in []Message) []any {
	out := make([]any, len(in))
	for i, m := range in {
		d := &jinja.Dict{}
		d.Put("role", m.Role)
		if m.Parts != nil {
			var parts []any
			for _, text := range m.Parts {
				part := &jinja.Dict{}
				part.Put("type", "text")
				part.Put("text", jinja.Foreign(text))
				parts = append(parts, part)
			}
			d.Put("content", parts)
		} else {
			d.Put("content", jinja.Foreign(m.Content))
		}
		if m.Name != "" {
			d.Put("name", jinja.Foreign(m.Name))
		}
		if m.ToolCallID != "" {
			d.Put("tool_call_id", jinja.Foreign(m.ToolCallID))
		}
		out[i] = d
	}
	return out
}
