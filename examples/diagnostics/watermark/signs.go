package main

import "math"

// stream is Vigna's SplitMix64: a counter whose values are mixed well.
type stream uint64

// newStream gives the numbers of one key, one weight and one purpose.
func newStream(key float64, name, purpose string) *stream {
	state := uint64(14695981039346656037)
	for _, text := range [...]string{purpose, name} { // FNV-1a, with a byte between the texts that is in no UTF-8
		for i := range len(text) {
			state = (state ^ uint64(text[i])) * 1099511628211
		}
		state = (state ^ 0xff) * 1099511628211
	}
	s := stream(mix(state ^ mix(math.Float64bits(key))))
	return &s
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// signs gives n independent values of 1 and -1.
func (s *stream) signs(n int) []float64 {
	x := make([]float64, n)
	var bits uint64
	for i := range x {
		if i%64 == 0 {
			*s += 0x9e3779b97f4a7c15
			bits = mix(uint64(*s))
		}
		x[i] = 1 - 2*float64(bits&1)
		bits >>= 1
	}
	return x
}

// directions gives the two secret directions of a weight: u over its outputs and v over its inputs.
func directions(key float64, name string, out, in int) (u, v []float64) {
	return newStream(key, name, "u").signs(out), newStream(key, name, "v").signs(in)
}
