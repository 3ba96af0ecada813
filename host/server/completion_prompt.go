package server

import (
	"bytes"
	"math"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// prompt is the tokens before a text.
type prompt struct {
	ids      []int32
	template [2]int // how many ids the tokenizer put before and after the text's own
	text     bool   // it was given as text
}

// prompts reads a string, token ids, or an array of either.
func (v *violations) prompts(s *Server, value jsontext.Value, limits Limits) []prompt {
	const want = "prompt is not a string, an array of token ids, or an array of strings or of arrays of token ids"
	if len(value) == 0 || value.Kind() == 'n' {
		v.add("prompt", "prompt is missing")
		return nil
	}
	values := []jsontext.Value{value}
	if value.Kind() == '[' {
		// The value was checked when the body was read, so that its parts can be read without looking at errors.
		items := jsontext.NewDecoder(bytes.NewReader(value))
		_, _ = items.ReadToken()
		if kind := items.PeekKind(); kind != '0' && kind != ']' {
			values = nil
			for items.PeekKind() != ']' {
				if len(values) == maxChoices {
					v.add("prompt", "more than %d prompts in a request are not supported", maxChoices)
					return nil
				}
				one, _ := items.ReadValue()
				values = append(values, one.Clone())
			}
		}
	}
	var out []prompt
	for _, value := range values {
		var p prompt
		switch value.Kind() {
		case '"':
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				v.add("prompt", want)
				return nil
			}
			tok := s.engine.Tokenizer()
			p.ids, p.text = tok.Encode(text, true), true
			p.template[0], p.template[1] = tok.Template()
		case '[':
			if err := json.Unmarshal(value, &p.ids); err != nil {
				v.add("prompt", want)
				return nil
			}
			for i, id := range p.ids {
				if id < 0 || int(id) >= limits.VocabSize {
					v.add("prompt", "token id %d at %d is outside 0 to %d", id, i, limits.VocabSize-1)
					return nil
				}
			}
		default:
			v.add("prompt", want)
			return nil
		}
		if len(p.ids) == 0 {
			v.add("prompt", "the prompt has no tokens")
			return nil
		}
		out = append(out, p)
	}
	return out
}

// length is what max_tokens asks for, or as many of the default as the context has room for. 0 is for echo only.
func (v *violations) length(param string, asked *int64, otherwise, prompt int, echo bool, limits Limits) int32 {
	room := int64(limits.MaxPositions) - int64(prompt)
	tokens := min(int64(otherwise), max(room, 1))
	if asked != nil {
		tokens = *asked
	}
	switch {
	case tokens < 0 || tokens == 0 && !echo:
		hint := ""
		if param == "max_tokens" {
			hint = "; 0 is allowed with echo"
		}
		v.add(param, "%s %d is not positive%s", param, tokens, hint)
	case tokens > math.MaxInt32 || tokens > room:
		v.add(param, "the model's context is %d tokens: the prompt has %d and max_tokens asks for %d more", limits.MaxPositions, prompt, tokens)
	default:
		return int32(tokens)
	}
	return 0
}

// texts are n texts for each prompt, each with its own seed.
func (c *completion) texts(request *backendpb.GenerateRequest, prompts []prompt, n int, maxTokens []int32, wrong *violations) {
	if len(prompts)*n > maxChoices {
		wrong.add("n", "%d prompts of %d texts each are more than %d", len(prompts), n, maxChoices)
		return
	}
	for i, p := range prompts {
		for j := range n {
			c.choices = append(c.choices, wanted{prompt: p, request: &backendpb.GenerateRequest{
				Alias: request.Alias, Prompt: p.ids, MaxTokens: maxTokens[i], Temperature: request.Temperature, TopP: request.TopP,
				Seed: request.Seed + uint64(j), Stop: request.Stop, Logprobs: request.Logprobs, PromptLogprobs: request.PromptLogprobs}})
		}
	}
}
