// Package kernel holds the inner loops that merging, inference and diagnostics share. What it computes is fixed to the bit: every
// implementation of a function here, portable or assembly, gives the same bytes on every machine.
package kernel

import "math"

// FMA32 is x*y+z with one rounding to f32, to nearest, ties to even, subnormals included. It gives the bits of a hardware fused
// multiply-add (IEEE 754 fusedMultiplyAdd), except that the payload of a NaN is not specified.
func FMA32(x, y, z float32) float32 {
	product := float64(x) * float64(y) // exact: 24 + 24 significant bits, and no f32 product leaves the normal range of f64
	sum := product + float64(z)
	if isMidpoint(sum) || math.Abs(sum) < 0x1p-126 {
		sum = oddSum(product, float64(z))
	}
	return float32(sum)
}

// isMidpoint reports whether sum lies exactly between two normal f32 values. Only there, and where the f32 result is subnormal, can
// rounding a sum to f64 first change what it rounds to in f32.
func isMidpoint(sum float64) bool {
	return math.Float64bits(sum)&0x1fffffff == 0x10000000
}

// oddSum is a+b rounded to f64 by rounding to odd: of the two values around an inexact sum, the one whose last bit is set. Rounding that to
// f32 equals rounding the exact sum once, since it keeps a trace of everything that was cut off.
func oddSum(a, b float64) float64 {
	sum := a + b
	if math.IsInf(sum, 0) || sum != sum {
		return sum
	}
	// Knuth's TwoSum: rest is what the addition lost, exactly.
	shadow := sum - a
	rest := (a - (sum - shadow)) + (b - shadow)
	bits := math.Float64bits(sum)
	if rest == 0 || bits&1 == 1 {
		return sum
	}
	if (rest > 0) == (sum > 0) {
		return math.Float64frombits(bits + 1)
	}
	return math.Float64frombits(bits - 1)
}
