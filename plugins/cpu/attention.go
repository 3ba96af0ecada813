package cpu

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// turn computes the angles of a position: pair i turns by position · frequencies[i]. The sines are f64, cast to f32.
func turn(cos, sin []float32, frequencies []float64, position int) {
	for i, frequency := range frequencies {
		s, c := math.Sincos(float64(position) * frequency)
		sin[i], cos[i] = float32(s), float32(c)
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

// attend computes softmax(q·K / sqrt(headDim))·V for p.span heads of one row, over the positions so far, the row's own included, or the last of
// them where the layer has a window. Heads share key-value heads in groups; the span is of one group.
func (p *pass) attend(i, worker int) {
	m := p.model
	first, at := i/len(p.rows)*p.span, i%len(p.rows)
	r := p.rows[at]
	end, from := r.position+1, 0
	if p.layer.window > 0 {
		from = max(0, end-p.layer.window)
	}
	shared := first / (m.heads / m.kvHeads)
	n := m.headDim
	query, out := p.of(p.query, at)[first*n:][:p.span*n], p.of(p.attended, at)[first*n:][:p.span*n]
	length := end - from
	scores := p.spare(worker, p.span*length)
	// All heads look at a page while it is near.
	for position := from; position < end; {
		rows, count := r.text.run(position, end, p.index, keys, shared)
		for head := range p.span {
			kernel.Dots(scores[head*length+position-from:][:count], rows, query[head*n:][:n])
		}
		position += count
	}
	for head := range p.span {
		softmax(scores[head*length:][:length], float32(1/math.Sqrt(float64(n))))
	}
	clear(out)
	for position := from; position < end; {
		rows, count := r.text.run(position, end, p.index, values, shared)
		for head := range p.span {
			kernel.AddWeighted(out[head*n:][:n], scores[head*length+position-from:][:count], rows)
		}
		position += count
	}
}

// setSpan decides how many heads are attended with at once: all that share keys and values, unless workers would have nothing to do.
func (p *pass) setSpan() {
	m := p.model
	p.span = m.heads / m.kvHeads
	if m.kvHeads*len(p.rows) < p.crew.size() {
		p.span = 1
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
	rest := x
	var sums [4]float64 // every fourth: one sum would wait for itself
	for ; len(rest) >= len(sums); rest = rest[len(sums):] {
		for i := range sums {
			sums[i] += float64(rest[i])
		}
	}
	for i, e := range rest {
		sums[i] += float64(e)
	}
	sum := (sums[0] + sums[2]) + (sums[1] + sums[3])
	inverse := float32(1 / sum)
	for i := range x {
		x[i] *= inverse
	}
}
