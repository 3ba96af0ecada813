package cpu

import (
	"cmp"
	"context"
	"math"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// maxAlternatives is the most alternatives a request may ask for with each token.
const maxAlternatives = 20

// Generate evaluates the prompt and then one token at a time, beside other texts. It waits for its turn first; what the alias means then is what it stays
// on.
//
// Computing and sending are apart: events queue up for a client that reads slowly, so that it keeps neither its place nor a generation. The queue
// is bounded by the length of the text.
func (b *Backend) Generate(req *backendpb.GenerateRequest, stream backendpb.Backend_GenerateServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	m, err := b.checkGenerate(req)
	if err != nil {
		return err
	}
	t, err := b.begin(ctx, m, req)
	if err != nil {
		return err
	}
	var failed error
	for event := range t.queue {
		if failed == nil {
			if failed = stream.Send(event); failed != nil {
				cancel()
			}
		}
	}
	return cmp.Or(failed, t.err)
}

// begin waits until a text may begin and gives it to the engine.
func (b *Backend) begin(ctx context.Context, m *model, req *backendpb.GenerateRequest) (*text, error) {
	e := b.engineOf(m)
	tokens := len(req.Prompt) + int(req.MaxTokens)
	leave, err := e.enter(ctx, lineOf(req.Alias, req.Generation), tokens, 1)
	if err != nil {
		return nil, err
	}
	g, err := b.hold(req.Alias, req.Generation)
	if err != nil {
		leave()
		return nil, err
	}
	g.requests.Add(1)
	t := &text{
		ctx: ctx, request: req, generation: g, queue: make(chan *backendpb.GenerateEvent, tokens+2),
		cache: cache{config: m.config, store: &e.store}, tokens: append(make([]int32, 0, tokens), req.Prompt...),
		leave: func() {
			g.requests.Add(-1)
			g.release()
			leave()
		},
	}
	e.join(t)
	return t, nil
}

// lineOf is the line a request waits in: that of its alias, or of its generation.
func lineOf(alias string, generation []byte) string {
	if len(generation) != 0 {
		return "generation " + string(generation)
	}
	return "alias " + alias
}

// checkGenerate refuses what need not wait to be refused, and returns the base's model.
func (b *Backend) checkGenerate(req *backendpb.GenerateRequest) (*model, error) {
	m, err := b.generative()
	if err != nil {
		return nil, err
	}
	g, err := b.hold(req.Alias, req.Generation)
	if err != nil {
		return nil, err
	}
	g.release() // the request waits for its turn before it holds anything
	switch {
	case len(req.Prompt) == 0:
		return nil, invalid("the prompt is empty: it needs at least the token that begins a text")
	case req.MaxTokens < 0:
		return nil, invalid("max_tokens is %d", req.MaxTokens)
	case !(req.Temperature >= 0) || math.IsInf(req.Temperature, 0):
		return nil, invalid("temperature is %g", req.Temperature)
	case !(req.TopP >= 0 && req.TopP <= 1):
		return nil, invalid("top_p is %g, not between 0 and 1", req.TopP)
	case req.Logprobs < -1 || req.Logprobs > maxAlternatives:
		return nil, invalid("logprobs is %d, not between -1 and %d", req.Logprobs, maxAlternatives)
	case int64(len(req.Prompt))+int64(req.MaxTokens) > int64(m.positions):
		return nil, tooFar("%d prompt tokens and %d to generate are more than the model's %d positions", len(req.Prompt), req.MaxTokens, m.positions)
	}
	return m, m.checkTokens("prompt token", req.Prompt)
}

// generative is the resident base's model, which every generation has in its shape.
func (b *Backend) generative() (*model, error) {
	loaded := b.base.Load()
	if loaded == nil {
		return nil, notNow("no base is loaded")
	}
	if loaded.pristine.model == nil {
		return nil, notNow("base %x came without a model configuration: it can be merged, not generated with", loaded.digest)
	}
	return loaded.pristine.model, nil
}

// checkTokens refuses ids outside the vocabulary.
func (m *model) checkTokens(what string, ids []int32) error {
	for i, id := range ids {
		if id < 0 || int(id) >= m.vocab {
			return invalid("%s %d is %d, the vocabulary has %d", what, i, id, m.vocab)
		}
	}
	return nil
}

// describe adds the token's log-probability and n alternatives from the logits that predicted it; n of -1 adds nothing.
func describe(event *backendpb.Token, logits []float32, n int32) error {
	if n < 0 {
		return nil
	}
	norm := logSumExp(logits)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return errNotFinite
	}
	event.Logprob, event.HasLogprob = float64(logits[event.Id])-norm, true
	event.Alternatives = alternatives(logits, int(n), norm)
	return nil
}
