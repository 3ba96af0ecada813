package cpu

import (
	"context"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// session evaluates one text, token by token, in f32. Every reduction has a fixed order, and explicit conversions keep the compiler from fusing
// multiplications with additions, so that the numbers do not depend on batching, on the number of workers, or on the instruction set.
type session struct {
	model    *model
	cache    cache
	position int // of the next token

	stream, normed, projected []float32 // hidden
	query, attended           []float32 // heads x headDim
	key, value                []float32 // kvHeads x headDim
	gate, up                  []float32 // intermediate
	scores                    []float32 // positions so far
	cos, sin                  []float32 // headDim/2
	frequencies               []float64 // headDim/2
	logits                    []float32 // vocab
}

func newSession(m *model, pool *sessionPool) *session {
	c := m.config
	s := &session{
		model: m, cache: cache{config: c, pool: pool},
		stream: make([]float32, c.hidden), normed: make([]float32, c.hidden), projected: make([]float32, c.hidden),
		query: make([]float32, c.heads*c.headDim), attended: make([]float32, c.heads*c.headDim),
		key: make([]float32, c.kvDim()), value: make([]float32, c.kvDim()),
		gate: make([]float32, c.intermediate), up: make([]float32, c.intermediate),
		cos: make([]float32, c.headDim/2), sin: make([]float32, c.headDim/2), frequencies: make([]float64, c.headDim/2),
		logits: make([]float32, c.vocab),
	}
	for i := range s.frequencies {
		s.frequencies[i] = math.Pow(c.theta, -float64(2*i)/float64(c.headDim))
	}
	return s
}

// step evaluates one token at the next position. With predict it leaves the next token's logits in s.logits. It stops between layers with ctx.
func (s *session) step(ctx context.Context, token int32, predict bool, workers int) error {
	m := s.model
	if err := s.embed(token); err != nil {
		return err
	}
	s.cache.reserve(s.position)
	s.turn()
	for i := range m.layers {
		if err := canceled(ctx); err != nil {
			return err
		}
		l := &m.layers[i]
		rmsNorm(s.normed, s.stream, l.attentionNorm, m.eps)
		l.query.times(s.query, s.normed, workers)
		l.key.times(s.key, s.normed, workers)
		l.value.times(s.value, s.normed, workers)
		rotate(s.query, m.headDim, s.cos, s.sin)
		rotate(s.key, m.headDim, s.cos, s.sin)
		s.cache.store(i, s.position, s.key, s.value)
		s.attend(i)
		l.output.times(s.projected, s.attended, workers)
		add(s.stream, s.projected)

		rmsNorm(s.normed, s.stream, l.mlpNorm, m.eps)
		l.gate.times(s.gate, s.normed, workers)
		l.up.times(s.up, s.normed, workers)
		for j, g := range s.gate {
			s.gate[j] = float32(silu(g) * s.up[j])
		}
		l.down.times(s.projected, s.gate, workers)
		add(s.stream, s.projected)
	}
	s.position++
	if predict {
		rmsNorm(s.normed, s.stream, m.norm, m.eps)
		m.head.times(s.logits, s.normed, workers)
	}
	return nil
}

// embed widens the token's row of the embedding.
func (s *session) embed(token int32) error {
	e := &s.model.embed
	stride := e.cols * e.dtype.Size()
	row := e.bytes[int(token)*stride:][:stride]
	if err := tensor.ToF32(s.stream, row, e.dtype); err != nil {
		return invalid("tensor %q: %v", e.name, err)
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

func silu(x float32) float32 { return x / float32(1+math.Exp(-float64(x))) }

func add(dst, x []float32) {
	for i, v := range x {
		dst[i] += v
	}
}
