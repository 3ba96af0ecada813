package interference

import (
	"math"
	"slices"

	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// The bits of a magnitude are ordered as the magnitudes are. What is above infinite is no number.
const (
	magnitude = 1<<63 - 1
	infinite  = 0x7ff << 52
)

// within is 1 where least <= x <= most, of numbers below 2^63, and 0 elsewhere.
func within(x, least, most uint64) uint64 { return ((x-least)|(most-x))>>63 ^ 1 }

// draws is how many values bracket the one that is looked for, and spread how many of them lie on each side of it: four standard deviations of
// the rank of a median, so that a second pass is needed next to never.
const (
	draws  = 1024
	spread = 64
)

// largest gives the bits of the k-th largest magnitude of values. It needs scratch, which is as long. Values drawn at random bracket the one
// that is looked for; one pass counts what is above the bracket and keeps what is in it, without a branch, since which is which cannot be
// foreseen.
func largest(values []float64, k int, scratch []uint64, stream *splitmix.Stream) uint64 {
	n := len(values)
	least, most := uint64(0), uint64(magnitude)
	if n > 4*draws {
		drawn := scratch[:draws]
		for i := range drawn {
			drawn[i] = math.Float64bits(values[stream.Uint64()%uint64(n)]) & magnitude
		}
		slices.Sort(drawn)
		at := draws - 1 - int(float64(k-1)/float64(n)*draws)
		if at >= spread {
			least = drawn[at-spread]
		}
		if at+spread < draws {
			most = drawn[at+spread]
		}
	}
	above, kept := gather(values, least, most, scratch)
	if k <= above || k > above+kept {
		above, kept = gather(values, 0, magnitude, scratch)
	}
	return selected(scratch[:kept], k-above, stream)
}

// gather puts the magnitudes from least to most into scratch, and says how many there are and how many are above them.
func gather(values []float64, least, most uint64, scratch []uint64) (above, kept int) {
	scratch = scratch[:len(values)]
	var larger, count uint64
	for _, value := range values {
		x := math.Float64bits(value) & magnitude
		scratch[count] = x
		count += within(x, least, most)
		larger += (most - x) >> 63
	}
	return int(larger), int(count)
}

// selected gives the k-th largest of x, which it reorders. Pivots are drawn at random, so that no order of the values makes it slow.
func selected(x []uint64, k int, stream *splitmix.Stream) uint64 {
	for {
		pivot := x[stream.Uint64()%uint64(len(x))]
		above, below := 0, len(x) // x[:above] is above the pivot, x[below:] below it, and between above and i equal to it
		for i := 0; i < below; {
			switch {
			case x[i] > pivot:
				x[i], x[above] = x[above], x[i]
				above++
				i++
			case x[i] < pivot:
				below--
				x[i], x[below] = x[below], x[i]
			default:
				i++
			}
		}
		switch {
		case k <= above:
			x = x[:above]
		case k <= below:
			return pivot
		default:
			x, k = x[below:], k-below
		}
	}
}
