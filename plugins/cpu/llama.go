package cpu

import (
	"context"
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// promptTokens is how many tokens of a prompt are evaluated at once, which bounds a session's scratch memory.
const promptTokens = 96

// predictTokens is how many tokens' logits are kept at once. Vocabularies are large.
const predictTokens = 24

// session evaluates one text, a batch of tokens at a time, in f32. Every reduction has a fixed order, and explicit conversions keep the compiler
// from fusing multiplications with additions, so that the numbers do not depend on batching, on the number of workers, or on the instruction set.
type session struct {
	model    *model
	cache    cache
	position int // of the batch's first token; between batches, of the next token
	tokens   int // of the batch

	stream, normed, projected []float32   // tokens x hidden
	query, attended           []float32   // tokens x heads x headDim
	key, value                []float32   // tokens x kvHeads x headDim
	gate, up                  []float32   // tokens x intermediate
	cos, sin                  []float32   // tokens x headDim/2
	frequencies               []float64   // headDim/2
	logits                    []float32   // predicted tokens x vocab
	scratch                   [][]float32 // of each worker
}

func newSession(m *model, pool *sessionPool) *session {
	c := m.config
	s := &session{model: m, cache: cache{config: c, pool: pool}, frequencies: make([]float64, c.headDim/2)}
	for i := range s.frequencies {
		s.frequencies[i] = math.Pow(c.theta, -float64(2*i)/float64(c.headDim))
	}
	return s
}

// resize makes room for a batch.
func (s *session) resize(tokens int) {
	if s.tokens == tokens {
		return
	}
	c := s.cache.config
	s.tokens = tokens
	for _, b := range []struct {
		floats *[]float32
		each   int
	}{
		{&s.stream, c.hidden}, {&s.normed, c.hidden}, {&s.projected, c.hidden},
		{&s.query, c.heads * c.headDim}, {&s.attended, c.heads * c.headDim}, {&s.key, c.kvDim()}, {&s.value, c.kvDim()},
		{&s.gate, c.intermediate}, {&s.up, c.intermediate}, {&s.cos, c.headDim / 2}, {&s.sin, c.headDim / 2},
	} {
		*b.floats = grown(*b.floats, tokens*b.each)
	}
}

// grown returns x with n numbers, of any value.
func grown(x []float32, n int) []float32 {
	if cap(x) < n {
		return make([]float32, n)
	}
	return x[:n]
}

// reserve makes room for n numbers of scratch memory of each worker.
func (s *session) reserve(workers, n int) {
	for len(s.scratch) < workers {
		s.scratch = append(s.scratch, nil)
	}
	for i := range workers {
		if len(s.scratch[i]) < n {
			s.scratch[i] = make([]float32, max(n, 2*len(s.scratch[i])))
		}
	}
}

// of returns what belongs to one token of the batch.
func (s *session) of(x []float32, token int) []float32 {
	n := len(x) / s.tokens
	return x[token*n : (token+1)*n]
}

// advance evaluates at most promptTokens tokens at the next positions. It stops between layers with ctx.
func (s *session) advance(ctx context.Context, tokens []int32, workers int) error {
	m, n := s.model, len(tokens)
	s.resize(n)
	if err := s.embed(tokens); err != nil {
		return err
	}
	s.cache.reserve(s.position + n - 1)
	s.turn()
	for i := range m.layers {
		if err := canceled(ctx); err != nil {
			return err
		}
		l := &m.layers[i]
		each(n, workers, func(t, _ int) { rmsNorm(s.of(s.normed, t), s.of(s.stream, t), l.attentionNorm, m.eps) })
		l.query.times(s.query, s.normed, n, workers)
		l.key.times(s.key, s.normed, n, workers)
		l.value.times(s.value, s.normed, n, workers)
		each(n, workers, func(t, _ int) {
			cos, sin, key := s.of(s.cos, t), s.of(s.sin, t), s.of(s.key, t)
			rotate(s.of(s.query, t), m.headDim, cos, sin)
			rotate(key, m.headDim, cos, sin)
			s.cache.store(i, s.position+t, key, s.of(s.value, t))
		})
		s.attend(i, workers)
		l.output.times(s.projected, s.attended, n, workers)
		each(n, workers, func(t, _ int) {
			stream := s.of(s.stream, t)
			add(stream, s.of(s.projected, t))
			rmsNorm(s.of(s.normed, t), stream, l.mlpNorm, m.eps)
		})
		l.gate.times(s.gate, s.normed, n, workers)
		l.up.times(s.up, s.normed, n, workers)
		s.reserve(workers, m.intermediate)
		each(n, workers, func(t, worker int) { gated(s.of(s.gate, t), s.of(s.up, t), s.scratch[worker][:m.intermediate]) })
		l.down.times(s.projected, s.gate, n, workers)
		add(s.stream, s.projected)
	}
	s.position += n
	return nil
}

// predict leaves in s.logits what follows count tokens of the batch, from one on: at most predictTokens.
func (s *session) predict(from, count, workers int) {
	m := s.model
	normed := s.normed[:count*m.hidden]
	for t := range count {
		rmsNorm(normed[t*m.hidden:(t+1)*m.hidden], s.of(s.stream, from+t), m.norm, m.eps)
	}
	s.logits = grown(s.logits, count*m.vocab)
	m.head.times(s.logits, normed, count, workers)
}

// prediction returns the logits of one token that predict was asked for.
func (s *session) prediction(i int) []float32 {
	return s.logits[i*s.model.vocab : (i+1)*s.model.vocab]
}

// embed widens the tokens' rows of the embedding.
func (s *session) embed(tokens []int32) error {
	e := &s.model.embed
	stride := e.cols * e.dtype.Size()
	for t, token := range tokens {
		row := e.bytes[int(token)*stride:][:stride]
		if err := tensor.ToF32(s.of(s.stream, t), row, e.dtype); err != nil {
			return invalid("tensor %q: %v", e.name, err)
		}
	}
	return nil
}

// rmsNorm computes dst = weight · x / sqrt(mean(x²) + eps), the mean in f64.
func rmsNorm(dst, x, weight []float32, eps float64) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v) // exact product
	}
	inverse := float32(1 / math.Sqrt(sum/float64(len(x))+eps))
	for i, v := range x {
		dst[i] = weight[i] * float32(v*inverse)
	}
}

// gated computes gate = silu(gate) · up, where silu(x) is x / (1 + e^-x). scratch is as long as they are.
func gated(gate, up, scratch []float32) {
	copy(scratch, gate)
	kernel.Exp(scratch, -1, 0)
	for i, e := range scratch {
		gate[i] = gate[i] / (1 + e) * up[i]
	}
}

func add(dst, x []float32) {
	for i, v := range x {
		dst[i] += v
	}
}
