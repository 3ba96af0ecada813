package mergeloss

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// loss is abi.Rounding over several blocks of rows, with what tells how far a sample of blocks is from the whole.
type loss struct {
	sum    abi.Rounding
	blocks []abi.Rounding
}

func (l *loss) add(r abi.Rounding) {
	l.sum = total(l.sum, r)
	l.blocks = append(l.blocks, r)
}

func total(a, b abi.Rounding) abi.Rounding {
	return abi.Rounding{
		Count: a.Count + b.Count, NonZero: a.NonZero + b.NonZero, Lost: a.Lost + b.Lost, Changed: a.Changed + b.Changed,
		Overflow: a.Overflow + b.Overflow, NonFinite: a.NonFinite + b.NonFinite, Dot: a.Dot + b.Dot,
		DeltaSquares: a.DeltaSquares + b.DeltaSquares, RoundedSquares: a.RoundedSquares + b.RoundedSquares,
		ErrorSquares: a.ErrorSquares + b.ErrorSquares, BaseSquares: a.BaseSquares + b.BaseSquares, BaseError: a.BaseError + b.BaseError,
	}
}

// scaled is what a sample of some of the rows says of all of them.
func scaled(r abi.Rounding, by float64) abi.Rounding {
	r.Dot *= by
	r.DeltaSquares *= by
	r.RoundedSquares *= by
	r.ErrorSquares *= by
	return r
}

// The numbers of diagnostics B.7. With D' what is left of delta W, D:

// gain is <D', D> / |D|²: 1 where delta W is intact, 0 where it is gone.
func gain(r abi.Rounding) float64 { return r.Dot / r.DeltaSquares }

// lost is the share of the entries with a change whose weight does not change.
func lost(r abi.Rounding) float64 { return float64(r.Lost) / float64(r.NonZero) }

// relativeError is |D' - D| / |D|.
func relativeError(r abi.Rounding) float64 { return math.Sqrt(r.ErrorSquares / r.DeltaSquares) }

// cosine is that of D' and D; 0 where nothing is left.
func cosine(r abi.Rounding) float64 {
	if r.RoundedSquares == 0 {
		return 0
	}
	return r.Dot / math.Sqrt(r.DeltaSquares) / math.Sqrt(r.RoundedSquares)
}

// mismatch is |W - Q(W)| / |D|: what the format takes from the base alone, beside the change (diagnostics B.8).
func mismatch(r abi.Rounding) float64 { return math.Sqrt(r.BaseError / r.DeltaSquares) }

func (l *loss) gainError(share float64) float64 {
	return ratioError(l.blocks, share, func(r abi.Rounding) (x, y float64) { return r.Dot, r.DeltaSquares })
}

func (l *loss) lostError(share float64) float64 {
	return ratioError(l.blocks, share, func(r abi.Rounding) (x, y float64) { return float64(r.Lost), float64(r.NonZero) })
}

// errorError follows from that of the square by the derivative of the root.
func (l *loss) errorError(share float64) float64 {
	square := ratioError(l.blocks, share, func(r abi.Rounding) (x, y float64) { return r.ErrorSquares, r.DeltaSquares })
	if square == 0 {
		return 0
	}
	return square / (2 * relativeError(l.sum))
}

// ratioError is the standard error of sum x / sum y over a sample of blocks that holds share of all rows: the ratio estimator's, by its
// residuals x - (ratio) y, with the correction for drawing without replacement (Cochran, Sampling Techniques, section 6.4). There is
// none of a single block.
func ratioError(blocks []abi.Rounding, share float64, of func(abi.Rounding) (x, y float64)) float64 {
	var sumX, sumY float64
	for _, b := range blocks {
		x, y := of(b)
		sumX, sumY = sumX+x, sumY+y
	}
	n := float64(len(blocks))
	if n < 2 || sumY == 0 {
		return 0
	}
	ratio := sumX / sumY
	var squares float64
	for _, b := range blocks {
		x, y := of(b)
		residual := x - float64(ratio*y)
		squares += float64(residual * residual)
	}
	mean := sumY / n
	return math.Sqrt(max(1-share, 0)*squares/(n-1)/n) / mean
}
