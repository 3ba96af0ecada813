package cpu

import (
	"context"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// text is one request under way.
type text struct {
	ctx        context.Context // the request's: when it ends, so does the text
	request    *backendpb.GenerateRequest
	generation *generation
	queue      chan *backendpb.GenerateEvent // has room for all events; closed at the end
	leave      func()                        // gives back the generation and the place

	cache     cache
	tokens    []int32 // the prompt, and what was generated
	evaluated int     // of tokens
	choose    *sampler
	begun     bool
	over      bool
	err       error // of a text that is over
}

// reading reports whether the prompt is not evaluated yet.
func (t *text) reading() bool { return t.evaluated < len(t.request.Prompt) }

// pending is how many tokens are not evaluated yet.
func (t *text) pending() int { return len(t.tokens) - t.evaluated }

// shares reports whether the text may take pages of others. What every token of the prompt predicts can only be told by computing it.
func (t *text) shares() bool { return !t.request.PromptLogprobs }

// shareable is how many tokens of the prompt may be taken from others: the last one is computed in any case, for what follows it.
func (t *text) shareable() int { return len(t.request.Prompt) - 1 }

// begin takes what other texts began with, and tells the client that it is its turn.
func (t *text) begin() {
	t.begun = true
	r := t.request
	if t.shares() {
		t.evaluated = t.cache.store.adopt(&t.cache, &t.generation.prefixes, t.tokens, t.shareable())
	}
	admitted := &backendpb.Admitted{Generation: []byte(t.generation.id), CachedTokens: int32(t.evaluated)}
	t.queue <- &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Admitted{Admitted: admitted}}
	if r.PromptLogprobs {
		t.queue <- promptEvent(&backendpb.Token{Id: r.Prompt[0]})
	}
	t.choose = newSampler(r.Temperature, r.TopP, r.Seed)
}

func promptEvent(token *backendpb.Token) *backendpb.GenerateEvent {
	return &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Prompt{Prompt: token}}
}
