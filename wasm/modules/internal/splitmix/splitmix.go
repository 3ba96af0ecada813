// Package splitmix is the source of the random numbers of the built-in diagnostics: keyed by what they are for, so that the same adapter
// gives the same numbers on every machine and in every run, and no two purposes share any.
package splitmix

import "math"

// Stream is Vigna's SplitMix64. Its value is its whole state.
type Stream uint64

// New gives the stream of one purpose, one name (that of a weight, say) and one index.
func New(purpose, name string, index int) Stream {
	state := hash(hash(14695981039346656037, purpose), name)
	return Stream(mix(state ^ mix(uint64(index)+1)))
}

// hash is FNV-1a with a byte after the text that is in no UTF-8, so that no two pairs of texts run into each other.
func hash(state uint64, text string) uint64 {
	for i := range len(text) {
		state = (state ^ uint64(text[i])) * 1099511628211
	}
	return (state ^ 0xff) * 1099511628211
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Uint64 gives 64 independent bits.
func (s *Stream) Uint64() uint64 {
	*s += 0x9e3779b97f4a7c15
	return mix(uint64(*s))
}

// Float gives a number uniform in [0, 1).
func (s *Stream) Float() float64 { return float64(s.Uint64()>>11) * 0x1p-53 }

// Normals fills x with independent standard normal numbers, by the polar method.
func (s *Stream) Normals(x []float64) {
	for i := 0; i < len(x); i += 2 {
		u, v, square := 0.0, 0.0, 0.0
		for square >= 1 || square == 0 {
			u, v = 2*s.Float()-1, 2*s.Float()-1
			square = float64(u*u) + float64(v*v)
		}
		factor := math.Sqrt(-2 * math.Log(square) / square)
		x[i] = u * factor
		if i+1 < len(x) {
			x[i+1] = v * factor
		}
	}
}

// signsOf is what eight bits stand for, the lowest first: 1, or -1 where the bit is set.
var signsOf = func() (table [256][8]float64) {
	for bits := range table {
		for i := range table[bits] {
			table[bits][i] = 1 - 2*float64(bits>>i&1)
		}
	}
	return table
}()

// Signs fills x with independent values of 1 and -1, 64 for each number drawn.
func (s *Stream) Signs(x []float64) {
	for len(x) >= 64 {
		bits := s.Uint64()
		for i := 0; i < 64; i += 8 {
			*(*[8]float64)(x[i:]) = signsOf[byte(bits)]
			bits >>= 8
		}
		x = x[64:]
	}
	if len(x) > 0 {
		bits := s.Uint64()
		for i := range x {
			x[i] = signsOf[bits&1][0]
			bits >>= 1
		}
	}
}

// Sample draws n of the numbers below all without putting any back, in ascending order; all of them where n is not below all.
func (s *Stream) Sample(n, all int) []int {
	n = min(n, all)
	drawn := make([]int, 0, n)
	for i := 0; len(drawn) < n; i++ {
		// Each is taken with the chance that the rest still needs it (Knuth's algorithm S).
		if need := n - len(drawn); need == all-i || s.Float()*float64(all-i) < float64(need) {
			drawn = append(drawn, i)
		}
	}
	return drawn
}
