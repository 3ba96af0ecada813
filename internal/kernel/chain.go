package kernel

import "math"

// panelBytes bounds the widened columns that chains run over, so that they stay in the second-level cache while rows pass by.
const panelBytes = 128 << 10

// panel is a block of stored columns of a Delta, widened to f64 and laid out by rank index: values[k*cols+j].
type panel struct {
	values     []float64
	cols       int
	reach      reach
	rowFactors []float32
	sums       []float64 // of chainNormal
}

// grow makes room for the columns of a delta of this rank and width; cols is then how many fit at once.
func (p *panel) grow(rank, cols int) {
	cols = min(cols, max(64, panelBytes/8/rank/16*16))
	if len(p.values) < rank*cols {
		p.values = make([]float64, rank*cols)
	}
	if cap(p.rowFactors) < rank {
		p.rowFactors = make([]float32, rank)
	}
	if len(p.sums) < cols {
		p.sums = make([]float64, cols)
	}
	p.cols, p.rowFactors = cols, p.rowFactors[:rank]
}

// load widens stored columns [first, first+n) of d; n is at most what grow made room for.
func (p *panel) load(d *Delta, first, n int) {
	p.cols, p.reach = n, reach{}
	for k := range d.Rank {
		row := p.values[k*n : (k+1)*n]
		for j := range row {
			v := d.columnFactor(k, first+j)
			row[j] = float64(v)
			p.reach.include(v)
		}
	}
}

// chain writes the deltas of one stored row at the panel's columns to dst, which is as long as the panel is wide. This is the one place
// that decides how a chain of fused multiply-adds is computed.
func (p *panel) chain(dst []float32, d *Delta, row int) {
	d.rowFactor(p.rowFactors, row)
	var factors reach
	for _, v := range p.rowFactors {
		factors.include(v)
	}
	if normalChain(factors, p.reach, d.Rank) {
		p.chainNormal(dst)
		return
	}
	p.chainExact(dst)
}

// chainExact runs any chain.
func (p *panel) chainExact(dst []float32) {
	clear(dst)
	for k, factor := range p.rowFactors {
		for j, v := range p.values[k*p.cols : (k+1)*p.cols] {
			dst[j] = FMA32(factor, float32(v), dst[j])
		}
	}
	for j, v := range dst {
		if v != v {
			dst[j] = canonicalNaN // machines differ in which operand's payload a NaN gets
		}
	}
}

// chainNormal runs chains of which normalChain says that they neither overflow nor lose bits below f32's smallest. It stays
// in f64, whose values it rounds to 24 significant bits: the conversions of SSE keep half of their target register, so converting to f32 and
// back makes each step wait for the one in the column before. The products are exact, so it does not matter whether the compiler fuses
// them with the additions.
func (p *panel) chainNormal(dst []float32) {
	n := p.cols
	sums := p.sums[:n]
	clear(sums)
	for k, narrow := range p.rowFactors {
		factor, column := float64(narrow), p.values[k*n:][:n]
		for j, sum := range sums {
			next := factor*column[j] + sum
			if isMidpoint(next) {
				next = float64(float32(oddSum(factor*column[j], sum)))
			}
			big := float64(next * split)
			sums[j] = big - (big - next)
		}
	}
	dst = dst[:n]
	for j, sum := range sums {
		dst[j] = float32(sum)
	}
}

// split is Veltkamp's constant for 24 of 53 bits: with big = x*split, big-(big-x) is x rounded to nearest at 24 bits. It may break ties
// either way, and so midpoints never come to it.
const split = 1<<29 + 1

// reach is the range of magnitudes of some f32 values, as bits without sign: these order like the magnitudes, NaN above infinity.
type reach struct {
	least    uint32 // above zero; 0 while there is none
	greatest uint32
}

func (r *reach) include(v float32) {
	bits := math.Float32bits(v) &^ (1 << 31)
	if bits-1 < r.least-1 { // zero wraps around to the greatest value on both sides
		r.least = bits
	}
	r.greatest = max(r.greatest, bits)
}

// lastBit is the exponent of the lowest bit that any of the values can have set.
func (r reach) lastBit() int {
	return max(int(r.least>>23), 1) - 150
}

// normalChain reports whether chains of steps products from a times b stay clear of f32's ends. Where every product is a multiple of 2^-149 so
// is every sum, and a sum below 2^-126 is then itself an f32. Where the sum of all magnitudes is below 2^127, nothing overflows.
func normalChain(a, b reach, steps int) bool {
	if a.greatest == 0 || b.greatest == 0 {
		return max(a.greatest, b.greatest) < 0x7f800000 // zero times a number, or times infinity
	}
	bound := float64(math.Float32frombits(a.greatest)) * float64(math.Float32frombits(b.greatest)) * float64(steps)
	return a.lastBit()+b.lastBit() >= -149 && bound < 0x1p127 // false for NaN
}

var canonicalNaN = math.Float32frombits(0x7fc00000)
