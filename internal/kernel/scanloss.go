package kernel

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// lossLanes is how many lanes the sums of a Loss have: half of what other scans have, so that all four stay in registers.
const lossLanes = 8

// Loss is what a merge leaves of the f32 deltas d of some weights w: with w' = round(f32(w)+d), the change is w' - w.
type Loss struct {
	Changed, NonZero, Lost int // entries that change, that have a delta, and that have one and do not change
	Overflow               int // entries that are finite before, and not after
	FirstOverflow          int // index of the first of these; -1 where there is none
	// Sums in f64 over the entries where all is finite: of change times delta, and of the squares of delta, change and change - delta. Element j
	// is added to lane j mod 8, by fused multiply-add, and the lanes are added pairwise at distance 4, 2, 1.
	Dot, Delta, Rounded, Error float64
}

// TakeLoss looks at the stored values of a row, in BF16, F16 or F32, whose sums with the deltas are rounded to target, one of these too.
func TakeLoss(row []byte, dtype, target tensor.DType, deltas []float32) Loss {
	checkRow(row, dtype, len(deltas))
	for _, d := range []tensor.DType{dtype, target} {
		if d != tensor.BF16 && d != tensor.F16 && d != tensor.F32 {
			panic(fmt.Sprintf("kernel: no loss of %v", d))
		}
	}
	if loop := active.scan.loops(dtype).loss; loop != nil && dtype == target && len(deltas) >= scanLanes {
		t := lossTally{Loss: Loss{FirstOverflow: -1}}
		whole := len(deltas) / scanLanes * scanLanes
		t.Changed, t.NonZero, t.Lost = loop(whole, &row[0], &deltas[0], &t.lanes[0][0])
		t.add(row, dtype, target, deltas, whole)
		if loss := t.loss(); loss.finite() {
			return loss
		}
	}
	t := lossTally{Loss: Loss{FirstOverflow: -1}}
	t.add(row, dtype, target, deltas, 0)
	return t.loss()
}

// finite says that nothing was left out, or that nothing should have been: whatever is not finite has a square that is not.
func (l Loss) finite() bool {
	sum := l.Dot + l.Delta + l.Rounded + l.Error
	return sum-sum == 0
}

// lossTally is a Loss under way.
type lossTally struct {
	Loss
	lanes [4][lossLanes]float64
}

// add takes the entries from the one at on, in portable code.
func (t *lossTally) add(row []byte, dtype, target tensor.DType, deltas []float32, at int) {
	eachGroup(row, dtype, at, len(deltas), func(at int, values []float64) {
		for l, w := range values {
			d, j := deltas[at+l], at+l
			after := roundTo(float32(w)+d, target)
			t.entry(j, w, float64(d), after)
		}
	})
}

func (t *lossTally) entry(j int, w, d, after float64) {
	if d != 0 {
		t.NonZero++
	}
	if after != w && (after == after || w == w) { // NaN that stays NaN is no change
		t.Changed++
	} else if d != 0 {
		t.Lost++
	}
	change := after - w
	if change-change != 0 || d-d != 0 {
		if w-w == 0 && d-d == 0 {
			if t.Overflow++; t.FirstOverflow < 0 {
				t.FirstOverflow = j
			}
		}
		return
	}
	l, rest := j%lossLanes, change-d
	t.lanes[0][l] = math.FMA(change, d, t.lanes[0][l])
	t.lanes[1][l] = math.FMA(d, d, t.lanes[1][l])
	t.lanes[2][l] = math.FMA(change, change, t.lanes[2][l])
	t.lanes[3][l] = math.FMA(rest, rest, t.lanes[3][l])
}

func (t *lossTally) loss() Loss {
	l := t.Loss
	l.Dot, l.Delta, l.Rounded, l.Error = addLanes(t.lanes[0][:]), addLanes(t.lanes[1][:]), addLanes(t.lanes[2][:]), addLanes(t.lanes[3][:])
	return l
}

// roundTo is what a dtype of 16 or 32 bits stores of an f32.
func roundTo(v float32, target tensor.DType) float64 {
	switch target {
	case tensor.BF16:
		v = tensor.BF16ToF32(tensor.F32ToBF16(v))
	case tensor.F16:
		v = tensor.F16ToF32(tensor.F32ToF16(v))
	}
	return float64(v)
}
