package cpu

import (
	"context"
	"math"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Compare evaluates one text with the base and with a generation, side by side: the predictions of a few tokens are compared and forgotten, so that
// memory holds their logits and not the text's. It waits for its turn as a text that is generated does, takes turns with the passes of others, and
// stays on the generation that is staged when it begins.
func (b *Backend) Compare(ctx context.Context, req *backendpb.CompareRequest) (*backendpb.CompareResponse, error) {
	m, err := b.checkCompare(req)
	if err != nil {
		return nil, err
	}
	e := b.engineOf(m)
	leave, err := e.enter(ctx, lineOf("", req.Generation), len(req.Tokens), 2)
	if err != nil {
		return nil, err
	}
	defer leave()
	g, err := b.hold("", req.Generation)
	if err != nil {
		return nil, err
	}
	defer g.release()
	g.requests.Add(1)
	defer g.requests.Add(-1)
	crew := newCrew(e.workers)
	defer crew.dismiss()
	c := &comparison{engine: e, ctx: ctx, crew: crew, tokens: req.Tokens}
	c.base = c.open(m)
	defer c.close(c.base)
	c.other = c.base
	if g.model != m {
		c.other = c.open(g.model)
		defer c.close(c.other)
	}
	return c.read(int(req.First))
}

// checkCompare refuses what need not wait to be refused, and returns the base's model.
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
	engine      *engine
	ctx         context.Context
	crew        *crew
	tokens      []int32
	base, other *reading // the same where the base is compared with itself
}

// reading is one text under way in one model.
type reading struct {
	model *model
	cache cache
	pass  *pass
	rows  []row
}

func (c *comparison) open(m *model) *reading {
	return &reading{model: m, cache: cache{config: m.config, store: &c.engine.store}, pass: c.engine.takePass(c.crew)}
}

func (c *comparison) close(r *reading) {
	c.engine.store.end(&r.cache)
	c.engine.givePass(r.pass)
}

// read evaluates the text. What would be predicted after its last token is not asked for.
func (c *comparison) read(first int) (*backendpb.CompareResponse, error) {
	n := len(c.tokens) - first
	out := &backendpb.CompareResponse{NllBase: make([]float64, n), NllGeneration: make([]float64, n), Kl: make([]float64, n)}
	most := c.base.model.predictable()
	for from := 0; from < len(c.tokens)-1; from += passRows {
		count := min(passRows, len(c.tokens)-1-from)
		if err := c.both(func(r *reading) error { return c.evaluate(r, from, count) }); err != nil {
			return nil, err
		}
		for at := max(0, first-1-from); at < count; at += most {
			wanted := make([]int, min(most, count-at))
			for i := range wanted {
				wanted[i] = at + i
			}
			if err := c.both(func(r *reading) error {
				r.pass.predict(wanted)
				return nil
			}); err != nil {
				return nil, err
			}
			c.crew.each(len(wanted), 64*c.base.model.vocab, func(i, _ int) {
				next := from + at + i + 1
				to := next - first
				out.NllBase[to], out.NllGeneration[to], out.Kl[to] = compare(c.base.pass.prediction(i), c.other.pass.prediction(i), c.tokens[next])
			})
		}
	}
	return out, nil
}

// evaluate reads count tokens in one model.
func (c *comparison) evaluate(r *reading, from, count int) error {
	if err := r.cache.reserve(from + count); err != nil {
		return err
	}
	r.rows = r.rows[:0]
	for i, token := range c.tokens[from : from+count] {
		r.rows = append(r.rows, row{text: &r.cache, position: from + i, token: token})
	}
	if err := r.pass.run(r.model, r.rows, func() bool { return c.ctx.Err() != nil }); err != nil {
		return canceled(c.ctx)
	}
	return nil
}

// both does something with both models, each in a turn of its own.
func (c *comparison) both(do func(*reading) error) error {
	readings := []*reading{c.base, c.other}
	if c.other == c.base {
		readings = readings[:1]
	}
	for _, r := range readings {
		if err := acquire(c.ctx, c.engine.turn); err != nil {
			return err
		}
		err := do(r)
		<-c.engine.turn
		if err != nil {
			return err
		}
	}
	return nil
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
