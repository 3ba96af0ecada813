package cpu

import (
	"context"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Compare evaluates one text with the base and with a generation, side by side: after each token the two predictions are compared and
// forgotten, so that memory holds the logits of one position and not of the text. It takes one slot, as a text that is generated does, and
// stays on the generation that is staged when it gets one.
func (b *Backend) Compare(ctx context.Context, req *backendpb.CompareRequest) (*backendpb.CompareResponse, error) {
	m, err := b.checkCompare(req)
	if err != nil {
		return nil, err
	}
	b.waiting.Add(1)
	err = acquire(ctx, b.slots)
	b.waiting.Add(-1)
	if err != nil {
		return nil, err
	}
	b.running.Add(1)
	defer func() {
		b.running.Add(-1)
		<-b.slots
	}()
	g, err := b.hold("", req.Generation)
	if err != nil {
		return nil, err
	}
	defer g.release()
	g.requests.Add(1)
	defer g.requests.Add(-1)
	if err := b.checkRoom(m, len(req.Tokens), 2); err != nil {
		return nil, err
	}
	c := &comparison{backend: b, base: b.sessions.get(m)}
	defer b.sessions.put(c.base)
	c.other = c.base
	if g.model != m {
		c.other = b.sessions.get(g.model)
		defer b.sessions.put(c.other)
	}
	return c.read(ctx, req.Tokens, int(req.First))
}

// checkCompare refuses what needs no slot to be refused, and returns the base's model.
func (b *Backend) checkCompare(req *backendpb.CompareRequest) (*model, error) {
	m, err := b.generative()
	if err != nil {
		return nil, err
	}
	g, err := b.hold("", req.Generation)
	if err != nil {
		return nil, err
	}
	g.release()
	switch {
	case len(req.Tokens) < 2:
		return nil, invalid("%d tokens: a prediction needs one token to read and one to predict", len(req.Tokens))
	case req.First < 1 || int(req.First) >= len(req.Tokens):
		return nil, invalid("the first predicted token is %d of %d, not between 1 and %d", req.First, len(req.Tokens), len(req.Tokens)-1)
	case len(req.Tokens) > m.positions:
		return nil, tooFar("%d tokens are more than the model's %d positions", len(req.Tokens), m.positions)
	}
	return m, m.checkTokens("token", req.Tokens)
}

// comparison is one text under way in two models, or twice in one.
type comparison struct {
	backend     *Backend
	base, other *session // the same where the base is compared with itself
}

// read evaluates the text. What would be predicted after its last token is not asked for.
func (c *comparison) read(ctx context.Context, tokens []int32, first int) (*backendpb.CompareResponse, error) {
	n := len(tokens) - first
	out := &backendpb.CompareResponse{NllBase: make([]float64, n), NllGeneration: make([]float64, n), Kl: make([]float64, n)}
	for from := 0; from < len(tokens)-1; from += promptTokens {
		batch := tokens[from:min(from+promptTokens, len(tokens)-1)]
		if err := c.both(func(s *session, workers int) error { return s.advance(ctx, batch, workers) }); err != nil {
			return nil, err
		}
		for at := max(0, first-1-from); at < len(batch); at += predictTokens {
			count := min(predictTokens, len(batch)-at)
			if err := c.both(func(s *session, workers int) error {
				s.predict(at, count, workers)
				return canceled(ctx)
			}); err != nil {
				return nil, err
			}
			each(count, c.backend.share(), func(i, _ int) {
				next := from + at + i + 1
				to := next - first
				out.NllBase[to], out.NllGeneration[to], out.Kl[to] = compare(c.base.prediction(i), c.other.prediction(i), tokens[next])
			})
		}
	}
	return out, nil
}

// both does something with both models: at the same time where there are workers for both.
func (c *comparison) both(do func(s *session, workers int) error) error {
	share := c.backend.share()
	switch {
	case c.other == c.base:
		return do(c.base, share)
	case share == 1:
		if err := do(c.base, 1); err != nil {
			return err
		}
		return do(c.other, 1)
	}
	var both errgroup.Group
	both.Go(func() error { return do(c.base, share-share/2) })
	err := do(c.other, share/2)
	if baseErr := both.Wait(); baseErr != nil {
		return baseErr
	}
	return err
}

// compare gives the negative log-likelihoods of a token under two predictions and the divergence KL(p || q) = Σ p (log p - log q), in nats.
// Equal logits give exactly 0; what rounding leaves below 0 is 0. What rests on logits that are not all finite is NaN.
func compare(p, q []float32, id int32) (nllP, nllQ, kl float64) {
	nllP, nllQ = math.NaN(), math.NaN()
	normP, normQ := logSumExp(p), logSumExp(q)
	finiteP, finiteQ := allFinite(p), allFinite(q)
	if finiteP {
		nllP = normP - float64(p[id])
	}
	if finiteQ {
		nllQ = normQ - float64(q[id])
	}
	if !finiteP || !finiteQ {
		return nllP, nllQ, math.NaN()
	}
	for i := range p {
		logP := float64(p[i]) - normP
		kl += float64(math.Exp(logP) * (logP - (float64(q[i]) - normQ)))
	}
	return nllP, nllQ, max(kl, 0)
}

func allFinite(x []float32) bool {
	for _, v := range x {
		if v-v != 0 {
			return false
		}
	}
	return true
}
