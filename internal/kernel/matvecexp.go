package kernel

import "math"

// Exp replaces every x by e^(fma(x, scale, shift)), within 2 units of the last place. The exponent is taken as -86 where it is less, and as 88
// where it is greater, so that all results are finite and normal. NaN stays.
func Exp(x []float32, scale, shift float32) {
	k := &active.matvec
	if k.exp == nil {
		for i, v := range x {
			x[i] = exponential(FMA32(v, scale, shift))
		}
		return
	}
	blocks := len(x) / lanes
	if blocks > 0 {
		k.exp(&x[0], &expConstants[0], scale, shift, blocks)
	}
	if rest := x[blocks*lanes:]; len(rest) > 0 {
		s := matvecScratches.Get().(*matvecScratch)
		copy(s.wide[:], rest)
		k.exp(&s.wide[0], &expConstants[0], scale, shift, 1)
		copy(rest, s.wide[:])
		matvecScratches.Put(s)
	}
}

// expConstants are what exponential computes with: the least and greatest exponent, log2(e), 1.5 * 2^23, ln(2) in two parts, negated, 1, and then
// 1/7!, 1/6! and so on to 1/2!.
var expConstants = [...]float32{
	-86, 88, math.Log2E, 0x1.8p23, -0x1.62e4p-1, -0x1.7f7d1cp-20, 1, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2,
}

// exponential is e^y = 2^n e^r, with n a whole number and |r| at most half of ln(2). Adding 1.5 * 2^23 rounds to n, and leaves n in the lowest bits
// of the sum. ln(2) is in two parts, and the first of them has so few bits that n times it is exact. e^r is the Taylor polynomial of degree 7.
func exponential(y float32) float32 {
	c := &expConstants
	switch {
	case y < c[0]:
		y = c[0]
	case y > c[1]:
		y = c[1]
	}
	rounded := FMA32(y, c[2], c[3])
	n := rounded - c[3]
	r := FMA32(n, c[5], FMA32(n, c[4], y))
	sum := c[7]
	for _, v := range c[8:] {
		sum = FMA32(sum, r, v)
	}
	sum = FMA32(FMA32(sum, r, c[6]), r, c[6])
	return sum * math.Float32frombits(math.Float32bits(rounded)<<23+math.Float32bits(c[6]))
}
