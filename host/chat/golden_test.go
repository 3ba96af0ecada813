package chat

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// clock is the time of the golden files.
func clock() time.Time { return time.Date(2026, 3, 7, 15, 4, 5, 0, time.UTC) }

// open reads one of testdata/templates.
func open(t testing.TB, name string) *Template {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("testdata/templates", name+".jinja"))
	if err != nil {
		t.Fatal(err)
	}
	template, err := Parse(name, string(source), map[string]string{"bos_token": "<s>", "eos_token": "</s>"})
	if err != nil {
		t.Fatal(err)
	}
	return template.WithClock(clock)
}

// TestTemplates holds the renderings of whole conversations against those of transformers: the same text, or a refusal where it has an error.
func TestTemplates(t *testing.T) {
	data, err := os.ReadFile("testdata/templates.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Template string `json:"template"`
			Name     string `json:"name"`
			Messages []struct {
				Role       string         `json:"role"`
				Content    jsontext.Value `json:"content"`
				ToolCallID string         `json:"tool_call_id"`
			} `json:"messages"`
			Options map[string]any `json:"options"`
			Output  *string        `json:"output"`
			Error   string         `json:"error"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	templates := map[string]*Template{}
	rendered := 0
	for _, c := range golden.Cases {
		if templates[c.Template] == nil {
			templates[c.Template] = open(t, c.Template)
		}
		conversation := Conversation{Answer: c.Options["add_generation_prompt"].(bool), Options: map[string]any{}}
		if thinking, ok := c.Options["enable_thinking"]; ok {
			conversation.Options["enable_thinking"] = thinking
		}
		for _, m := range c.Messages {
			message := Message{Role: m.Role, ToolCallID: m.ToolCallID}
			if json.Unmarshal(m.Content, &message.Content) != nil {
				var parts []struct{ Type, Text string }
				if err := json.Unmarshal(m.Content, &parts, json.MatchCaseInsensitiveNames(true)); err != nil {
					t.Fatal(err)
				}
				for _, part := range parts {
					message.Parts = append(message.Parts, part.Text)
				}
			}
			conversation.Messages = append(conversation.Messages, message)
		}
		text, err := templates[c.Template].Render(t.Context(), conversation)
		switch {
		case c.Output == nil && err == nil:
			t.Errorf("%s of %s: got %q, where transformers has %s", c.Template, c.Name, text, c.Error)
		case c.Output == nil:
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != fault.UsageFlag {
				t.Errorf("%s of %s: %v", c.Template, c.Name, err)
			}
		case err != nil:
			t.Errorf("%s of %s: %v", c.Template, c.Name, err)
		case text.String() != *c.Output:
			t.Errorf("%s of %s, %v:\n got %q\nwant %q", c.Template, c.Name, c.Options, text, *c.Output)
		default:
			rendered++
		}
	}
	if rendered < 100 {
		t.Errorf("%d conversations were rendered", rendered)
	}
}
