package cpu

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// turn computes the angles of the batch's positions: pair i turns by position · theta^(-2i/headDim). The sines are f64, cast to f32.
func (s *session) turn() {
	half := len(s.frequencies)
	for i := range s.cos {
		sin, cos := math.Sincos(float64(s.position+i/half) * s.frequencies[i%half])
		s.sin[i], s.cos[i] = float32(sin), float32(cos)
	}
}

// rotate turns the pairs of each head in place. Pairs are (i, i+headDim/2), as Hugging Face checkpoints store them, not (2i, 2i+1).
func rotate(x []float32, headDim int, cos, sin []float32) {
	half := headDim / 2
	for ; len(x) >= headDim; x = x[headDim:] {
		for i := range half {
			a, b := x[i], x[i+half]
			x[i] = float32(a*cos[i]) - float32(b*sin[i])
			x[i+half] = float32(b*cos[i]) + float32(a*sin[i])
		}
	}
}

// minSharedProducts is the least work of attention that workers are started for.
const minSharedProducts = 1 << 18

// attend computes softmax(q·K / sqrt(headDim))·V over the positions so far, the token's own included, for each query head of each token of the
// batch.
func (s *session) attend(layer, workers int) {
	c := s.cache.config
	longest := s.position + s.tokens
	if 2*s.tokens*c.heads*c.headDim*longest < minSharedProducts {
		workers = 1
	}
	s.reserve(workers, longest)
	// One head after the other: the tokens of a batch read the same keys.
	each(c.heads*s.tokens, workers, func(i, worker int) {
		head, token := i/s.tokens, i%s.tokens
		s.attendHead(layer, head, token, s.scratch[worker][:s.position+token+1])
	})
}

// attendHead computes what one head of one token sees. Heads share key-value heads in groups.
func (s *session) attendHead(layer, head, token int, scores []float32) {
	c := s.cache.config
	shared := head / (c.heads / c.kvHeads)
	query, out := s.of(s.query, token)[head*c.headDim:][:c.headDim], s.of(s.attended, token)[head*c.headDim:][:c.headDim]
	for page := 0; page*pageTokens < len(scores); page++ {
		part := scores[page*pageTokens : min((page+1)*pageTokens, len(scores))]
		kernel.Dots(part, s.cache.run(page, layer, keys, shared), query)
	}
	softmax(scores, float32(1/math.Sqrt(float64(c.headDim))))
	clear(out)
	for page := 0; page*pageTokens < len(scores); page++ {
		part := scores[page*pageTokens : min((page+1)*pageTokens, len(scores))]
		kernel.AddWeighted(out, part, s.cache.run(page, layer, values, shared))
	}
}

// softmax works in place, on x times scale, which is positive. The largest is taken away first, so no exponential overflows.
func softmax(x []float32, scale float32) {
	largest := x[0]
	for _, v := range x {
		if v > largest {
			largest = v
		}
	}
	kernel.Exp(x, scale, -largest*scale)
	sum := 0.0
	for _, e := range x {
		sum += float64(e)
	}
	inverse := float32(1 / sum)
	for i := range x {
		x[i] *= inverse
	}
}

// each calls work for every i below n, in at most workers goroutines, and says in which.
func each(n, workers int, work func(i, worker int)) {
	workers = min(workers, n)
	if workers <= 1 {
		for i := range n {
			work(i, 0)
		}
		return
	}
	var next atomic.Int64
	turns := func(worker int) {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			work(i, worker)
		}
	}
	var group sync.WaitGroup
	for worker := 1; worker < workers; worker++ {
		group.Go(func() { turns(worker) })
	}
	turns(0)
	group.Wait()
}
