package machine

import (
	"math"
	"time"
)

// peak is a loop of nothing but independent fused multiply-adds in registers. A pass adds the product of two vectors to every chain and
// takes it away again, so that the sums stay what they are.
type peak struct {
	name     string // the instruction set
	usable   bool   // on this processor
	chains   int    // vectors that are added to, one not waiting for the other
	bytes    int    // of a vector
	f32, f64 func(passes int, data *[24]float64)
}

// best is the fastest loop this processor can run.
func best() peak {
	for _, p := range peaks {
		if p.usable {
			return p
		}
	}
	return peak{name: "generic", chains: 8, bytes: 8, f32: fmaGeneric, f64: fmaGeneric}
}

// Vectors names the instruction set that FMA32 and FMA64 run on: the widest that this processor has.
func Vectors() string { return best().name }

// FMA32 completes at least so many fused multiply-adds of f32, with so many goroutines, and returns how long that took. Where there is no
// assembly for the processor they are of f64: portable Go has no others.
func FMA32(products int64, workers int) time.Duration {
	p := best()
	lanes := p.bytes / 4
	if p.name == "generic" {
		lanes = 1
	}
	return p.run(p.f32, products, lanes, workers)
}

// FMA64 is FMA32 for f64.
func FMA64(products int64, workers int) time.Duration {
	p := best()
	return p.run(p.f64, products, p.bytes/8, workers)
}

func (p peak) run(loop func(int, *[24]float64), products int64, lanes, workers int) time.Duration {
	pass := int64(2 * p.chains * lanes * workers)
	passes := int(max(1, (products+pass-1)/pass))
	start := time.Now()
	parallel(workers, func(int) {
		data := operands
		loop(passes, &data)
	})
	return time.Since(start)
}

// operands are two vectors of 64 bytes, and room for a sum. As f32 they are between 1 and 8, and as f64 not far below. None is zero: some
// processors save power on zeros, and clock higher.
var operands = func() (data [24]float64) {
	for i := range data {
		pair := uint64(math.Float32bits(1.1+float32(i)/7))<<32 | uint64(math.Float32bits(1.3+float32(i)/11))
		data[i] = math.Float64frombits(pair)
	}
	return data
}()

func fmaGeneric(passes int, data *[24]float64) {
	x, y := data[0], data[8]
	a, b, c, d, e, f, g, h := x, x, x, x, x, x, x, x
	for range passes {
		a, b, c, d = math.FMA(x, y, a), math.FMA(x, y, b), math.FMA(x, y, c), math.FMA(x, y, d)
		e, f, g, h = math.FMA(x, y, e), math.FMA(x, y, f), math.FMA(x, y, g), math.FMA(x, y, h)
		a, b, c, d = math.FMA(-x, y, a), math.FMA(-x, y, b), math.FMA(-x, y, c), math.FMA(-x, y, d)
		e, f, g, h = math.FMA(-x, y, e), math.FMA(-x, y, f), math.FMA(-x, y, g), math.FMA(-x, y, h)
	}
	data[16] = a + b + c + d + e + f + g + h
}
