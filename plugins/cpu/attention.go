package cpu

import "math"

// turn computes the angles of the current position: pair i turns by position · theta^(-2i/headDim). The sines are f64, cast to f32.
func (s *session) turn() {
	for i, frequency := range s.frequencies {
		sin, cos := math.Sincos(float64(s.position) * frequency)
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

// attend computes softmax(q·K / sqrt(headDim))·V over the positions so far, the current one included, for each query head. Heads share key-value
// heads in groups.
func (s *session) attend(layer int) {
	c := s.cache.config
	length := s.position + 1
	for len(s.scores) < length {
		s.scores = append(s.scores, 0)
	}
	scores := s.scores[:length]
	group := c.heads / c.kvHeads
	scale := float32(1 / math.Sqrt(float64(c.headDim)))
	for head := range c.heads {
		query := s.query[head*c.headDim : (head+1)*c.headDim]
		for page := 0; page*pageTokens < length; page++ {
			run := s.cache.run(page, layer, keys, head/group)
			for t := range min(pageTokens, length-page*pageTokens) {
				scores[page*pageTokens+t] = float32(dot(query, run[t*c.headDim:]) * scale)
			}
		}
		softmax(scores)
		out := s.attended[head*c.headDim : (head+1)*c.headDim]
		clear(out)
		for page := 0; page*pageTokens < length; page++ {
			run := s.cache.run(page, layer, values, head/group)
			for t := range min(pageTokens, length-page*pageTokens) {
				addScaled(out, run[t*c.headDim:], scores[page*pageTokens+t])
			}
		}
	}
}

// softmax works in place. The largest score is taken away first, so no exponential overflows.
func softmax(x []float32) {
	largest := x[0]
	for _, v := range x {
		largest = max(largest, v)
	}
	sum := 0.0
	for i, v := range x {
		e := math.Exp(float64(v - largest))
		sum += e
		x[i] = float32(e)
	}
	inverse := float32(1 / sum)
	for i := range x {
		x[i] *= inverse
	}
}

// dot multiplies x with the first len(x) of y, in four partial sums.
func dot(x, y []float32) float32 {
	y = y[:len(x)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s0 += float32(x[i] * y[i])
		s1 += float32(x[i+1] * y[i+1])
		s2 += float32(x[i+2] * y[i+2])
		s3 += float32(x[i+3] * y[i+3])
	}
	for ; i < len(x); i++ {
		s0 += float32(x[i] * y[i])
	}
	return (s0 + s2) + (s1 + s3)
}

// addScaled adds factor times the first len(dst) of x.
func addScaled(dst, x []float32, factor float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += float32(x[i] * factor)
	}
}
