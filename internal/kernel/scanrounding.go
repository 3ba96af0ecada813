package kernel

import "math"

// roundingLanes is how many lanes the sums of a Rounding have: four, because there are six of them to keep in registers.
const roundingLanes = 4

// Rounding is what storing weights W in a format leaves of updates D: with W0 what the format gives back of W, and W1 of W0 + D, the change is
// W1 - W0. Entries where W or D is not finite are counted as NonFinite, and others whose change is not as Overflow; they are in no sum.
type Rounding struct {
	Changed, NonZero, Lost int // entries that change, that have an update, and that have one and do not change
	Overflow, NonFinite    int
	// Sums in f64, element j to lane j mod 4 by fused multiply-add, and the lanes pairwise at distance 2 and 1: of change times update, of the
	// squares of update, change, and change - update, and of W and W - W0.
	Dot, Delta, Rounded, Error, Base, BaseError float64
}

// TakeRounding looks at equally many values of W, D, W0 and W1.
func TakeRounding(weights, delta, base, merged []float64) Rounding {
	n := len(weights)
	delta, base, merged = delta[:n], base[:n], merged[:n]
	if loop := active.scan.formats.sums; loop != nil && n >= roundingLanes {
		var t roundingTally
		whole := n &^ (roundingLanes - 1)
		t.Changed, t.NonZero, t.Lost = loop(whole, &weights[0], &delta[0], &base[0], &merged[0], &t.lanes[0][0])
		t.add(weights[whole:], delta[whole:], base[whole:], merged[whole:])
		if r := t.rounding(); r.finite() {
			return r
		}
	}
	var t roundingTally
	t.add(weights, delta, base, merged)
	return t.rounding()
}

// finite says that nothing was to be left out: whatever is not finite has a square that is not.
func (r Rounding) finite() bool {
	sum := r.Dot + r.Delta + r.Rounded + r.Error + r.Base + r.BaseError
	return sum-sum == 0
}

// roundingTally is a Rounding under way.
type roundingTally struct {
	Rounding
	lanes [6][roundingLanes]float64
}

// add takes entries of which the first goes to lane 0.
func (t *roundingTally) add(weights, delta, base, merged []float64) {
	for j, w := range weights {
		d, before := delta[j], base[j]
		if w-w != 0 || d-d != 0 {
			t.NonFinite++
			continue
		}
		change := merged[j] - before
		if d != 0 {
			t.NonZero++
			if change == 0 {
				t.Lost++
			}
		}
		if change != 0 {
			t.Changed++
		}
		if change-change != 0 {
			t.Overflow++
			continue
		}
		l, rest, lost := j%roundingLanes, change-d, w-before
		t.lanes[0][l] = math.FMA(change, d, t.lanes[0][l])
		t.lanes[1][l] = math.FMA(d, d, t.lanes[1][l])
		t.lanes[2][l] = math.FMA(change, change, t.lanes[2][l])
		t.lanes[3][l] = math.FMA(rest, rest, t.lanes[3][l])
		t.lanes[4][l] = math.FMA(w, w, t.lanes[4][l])
		t.lanes[5][l] = math.FMA(lost, lost, t.lanes[5][l])
	}
}

func (t *roundingTally) rounding() Rounding {
	r := t.Rounding
	for i, sum := range []*float64{&r.Dot, &r.Delta, &r.Rounded, &r.Error, &r.Base, &r.BaseError} {
		*sum = addLanes(t.lanes[i][:])
	}
	return r
}
