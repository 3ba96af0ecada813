package cpu

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// maxAlternatives is the most alternatives a request may ask for with each token.
const maxAlternatives = 20

// Generate evaluates the prompt and then one token at a time. It waits for a slot first; what the alias means when it gets one is what it stays on.
//
// Computing and sending are apart: events queue up for a client that reads slowly, so that it keeps neither a slot nor a generation. The queue is
// bounded by the length of the text.
func (b *Backend) Generate(req *backendpb.GenerateRequest, stream backendpb.Backend_GenerateServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	if err := b.checkGenerate(req); err != nil {
		return err
	}
	b.waiting.Add(1)
	err := acquire(ctx, b.slots)
	b.waiting.Add(-1)
	if err != nil {
		return err
	}
	queue := make(chan *backendpb.GenerateEvent, len(req.Prompt)+int(req.MaxTokens)+2)
	go func() {
		defer close(queue)
		b.running.Add(1)
		defer func() {
			b.running.Add(-1)
			<-b.slots
		}()
		err = b.compute(ctx, req, queue)
	}()
	var failed error
	for event := range queue {
		if failed == nil {
			if failed = stream.Send(event); failed != nil {
				cancel()
			}
		}
	}
	return cmp.Or(failed, err)
}

// compute puts every event of one text into the queue, which has room for all of them.
func (b *Backend) compute(ctx context.Context, req *backendpb.GenerateRequest, queue chan<- *backendpb.GenerateEvent) error {
	g, err := b.hold(req.Alias, req.Generation)
	if err != nil {
		return err
	}
	defer g.release()
	g.requests.Add(1)
	defer g.requests.Add(-1)
	if err := b.checkRoom(g.model, len(req.Prompt)+int(req.MaxTokens), 1); err != nil {
		return err
	}
	queue <- &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Admitted{Admitted: &backendpb.Admitted{Generation: []byte(g.id)}}}
	s := b.sessions.get(g.model)
	defer b.sessions.put(s)
	t := &text{backend: b, request: req, session: s, queue: queue}
	if err := t.readPrompt(ctx); err != nil {
		return err
	}
	reason, err := t.write(ctx)
	if err != nil {
		return err
	}
	queue <- &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Finish{Finish: &backendpb.Finish{Reason: reason}}}
	return nil
}

// checkGenerate refuses what needs no slot to be refused.
func (b *Backend) checkGenerate(req *backendpb.GenerateRequest) error {
	m, err := b.generative()
	if err != nil {
		return err
	}
	g, err := b.hold(req.Alias, req.Generation)
	if err != nil {
		return err
	}
	g.release() // the request waits for a slot before it holds anything
	switch {
	case len(req.Prompt) == 0:
		return invalid("the prompt is empty: it needs at least the token that begins a text")
	case req.MaxTokens < 0:
		return invalid("max_tokens is %d", req.MaxTokens)
	case !(req.Temperature >= 0) || math.IsInf(req.Temperature, 0):
		return invalid("temperature is %g", req.Temperature)
	case !(req.TopP >= 0 && req.TopP <= 1):
		return invalid("top_p is %g, not between 0 and 1", req.TopP)
	case req.Logprobs < -1 || req.Logprobs > maxAlternatives:
		return invalid("logprobs is %d, not between -1 and %d", req.Logprobs, maxAlternatives)
	case int64(len(req.Prompt))+int64(req.MaxTokens) > int64(m.positions):
		return tooFar("%d prompt tokens and %d to generate are more than the model's %d positions", len(req.Prompt), req.MaxTokens, m.positions)
	}
	return m.checkTokens("prompt token", req.Prompt)
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

// plentyBytes is how much a text may keep without a look at the machine's memory.
const plentyBytes = 64 << 20

// checkRoom refuses what the machine cannot keep: so many tokens, by so many models.
func (b *Backend) checkRoom(m *model, tokens, models int) error {
	need := m.kvBytes(tokens) * int64(models)
	if need <= plentyBytes {
		return nil
	}
	if free, known := b.available(); known && uint64(need) > free {
		return noRoom("keys and values of %d tokens need %d bytes of memory, %d are available", tokens, need, free)
	}
	return nil
}

// text is one request under way.
type text struct {
	backend *Backend
	request *backendpb.GenerateRequest
	session *session
	queue   chan<- *backendpb.GenerateEvent
}

// share is how many workers each running text gets. The numbers do not depend on it.
func (b *Backend) share() int { return max(1, b.options.Workers/max(1, int(b.running.Load()))) }

// readPrompt evaluates the prompt, and leaves the first prediction in the session.
func (t *text) readPrompt(ctx context.Context) error {
	s, prompt := t.session, t.request.Prompt
	if t.request.PromptLogprobs {
		t.queue <- promptEvent(&backendpb.Token{Id: prompt[0]})
	}
	for first := 0; first < len(prompt); first += promptTokens {
		batch := prompt[first:min(first+promptTokens, len(prompt))]
		if err := s.advance(ctx, batch, t.backend.share()); err != nil {
			return err
		}
		if t.request.PromptLogprobs {
			if err := t.describePrompt(ctx, len(batch), prompt[first+1:]); err != nil {
				return err
			}
		}
	}
	if t.request.MaxTokens > 0 {
		s.predict(s.tokens-1, 1, t.backend.share())
	}
	return nil
}

// describePrompt queues the tokens of the prompt that the batch just evaluated predicts: those of next, as far as there are.
func (t *text) describePrompt(ctx context.Context, tokens int, next []int32) error {
	next = next[:min(tokens, len(next))]
	for from := 0; from < len(next); from += predictTokens {
		if err := canceled(ctx); err != nil {
			return err
		}
		count := min(predictTokens, len(next)-from)
		t.session.predict(from, count, t.backend.share())
		for i := range count {
			event := &backendpb.Token{Id: next[from+i]}
			if err := describe(event, t.session.prediction(i), max(t.request.Logprobs, 0)); err != nil {
				return err
			}
			t.queue <- promptEvent(event)
		}
	}
	return nil
}

func promptEvent(token *backendpb.Token) *backendpb.GenerateEvent {
	return &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Prompt{Prompt: token}}
}

// write generates until a stop token or the limit.
func (t *text) write(ctx context.Context) (backendpb.Finish_Reason, error) {
	choose := newSampler(t.request.Temperature, t.request.TopP, t.request.Seed)
	for n := range t.request.MaxTokens {
		id, err := choose.pick(t.session.prediction(0))
		if err != nil {
			return backendpb.Finish_UNKNOWN, err
		}
		event := &backendpb.Token{Id: id}
		if err := describe(event, t.session.prediction(0), t.request.Logprobs); err != nil {
			return backendpb.Finish_UNKNOWN, err
		}
		t.queue <- &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Token{Token: event}}
		if slices.Contains(t.request.Stop, id) {
			return backendpb.Finish_STOP, nil
		}
		if n == t.request.MaxTokens-1 {
			break
		}
		workers := t.backend.share()
		if err := t.session.advance(ctx, []int32{id}, workers); err != nil {
			return backendpb.Finish_UNKNOWN, err
		}
		t.session.predict(0, 1, workers)
	}
	return backendpb.Finish_LENGTH, nil
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
