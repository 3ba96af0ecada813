package kernel

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Counts tells what a merge did to the entries it covered.
type Counts struct {
	Changed   int64 // entries whose stored bits changed
	NonFinite int64 // entries that became NaN or infinite although W was finite
}

// Add returns the counts of both.
func (c Counts) Add(other Counts) Counts {
	return Counts{Changed: c.Changed + other.Changed, NonFinite: c.NonFinite + other.NonFinite}
}

// MergeRows merges stored rows [first, first+rows) of W: dst = round(f32(src) + delta), one rounding to nearest even into dtype, which is
// BF16, F16 or F32. src and dst are the bytes of those rows; they are the same memory or do not overlap. A NaN of W stays that NaN, quiet;
// a NaN that arises is the quiet NaN with no payload. Blocks of rows can be merged concurrently.
//
// It fails, before it writes, on another dtype and on rows or lengths that do not fit the delta's shape.
func MergeRows(dst, src []byte, dtype tensor.DType, d *Delta, first, rows int) (Counts, error) {
	total, cols := d.Shape()
	if first < 0 || rows < 0 || first > total-rows {
		return Counts{}, fmt.Errorf("rows %d to %d of a weight of %d rows", first, first+rows-1, total)
	}
	var round func(dst, src []byte, delta []float32) Counts
	switch dtype {
	case tensor.BF16:
		round = roundBF16
	case tensor.F16:
		round = roundF16
	case tensor.F32:
		round = roundF32
	default:
		return Counts{}, fmt.Errorf("dtype %v cannot be merged: BF16, F16 and F32 can", dtype)
	}
	size := dtype.Size()
	if len(src) != rows*cols*size || len(dst) != len(src) {
		return Counts{}, fmt.Errorf("%d and %d bytes are not %d rows of %d %v", len(src), len(dst), rows, cols, dtype)
	}
	var counts Counts
	columns := newPanel(d.Rank, cols)
	acc := make([]float32, columns.cols)
	for from := 0; from < cols && rows > 0; from += len(acc) {
		n := min(len(acc), cols-from)
		columns.load(d, from, n)
		for i := range rows {
			columns.chain(acc[:n], d, first+i)
			start, end := (i*cols+from)*size, (i*cols+from+n)*size
			counts = counts.Add(round(dst[start:end], src[start:end], acc[:n]))
		}
	}
	return counts, nil
}

// DeltaRows writes stored rows [first, first+rows) of the delta, row-major, the very bits MergeRows adds; dst holds exactly those. Many rows
// at once cost less a row than one.
func DeltaRows(dst []float32, d *Delta, first, rows int) {
	_, cols := d.Shape()
	dst = dst[:rows*cols]
	columns := newPanel(d.Rank, cols)
	width := columns.cols
	for from := 0; from < cols; from += width {
		n := min(width, cols-from)
		columns.load(d, from, n)
		for i := range rows {
			columns.chain(dst[i*cols+from:i*cols+from+n], d, first+i)
		}
	}
}

func roundBF16(dst, src []byte, delta []float32) (c Counts) {
	dst, src = dst[:2*len(delta)], src[:2*len(delta)]
	for j, add := range delta {
		before := binary.LittleEndian.Uint16(src[2*j:])
		w := tensor.BF16ToF32(before)
		after := tensor.F32ToBF16(w + add)
		if after&0x7f80 == 0x7f80 { // not finite
			if w != w {
				after = before | 0x40
			} else {
				if after&0x7f != 0 {
					after = 0x7fc0
				}
				if before&0x7f80 != 0x7f80 {
					c.NonFinite++
				}
			}
		}
		if after != before {
			c.Changed++
		}
		binary.LittleEndian.PutUint16(dst[2*j:], after)
	}
	return c
}

func roundF16(dst, src []byte, delta []float32) (c Counts) {
	dst, src = dst[:2*len(delta)], src[:2*len(delta)]
	for j, add := range delta {
		before := binary.LittleEndian.Uint16(src[2*j:])
		w := tensor.F16ToF32(before)
		after := tensor.F32ToF16(w + add)
		if after&0x7c00 == 0x7c00 {
			if w != w {
				after = before | 0x200
			} else {
				if after&0x3ff != 0 {
					after = 0x7e00
				}
				if before&0x7c00 != 0x7c00 {
					c.NonFinite++
				}
			}
		}
		if after != before {
			c.Changed++
		}
		binary.LittleEndian.PutUint16(dst[2*j:], after)
	}
	return c
}

func roundF32(dst, src []byte, delta []float32) (c Counts) {
	dst, src = dst[:4*len(delta)], src[:4*len(delta)]
	for j, add := range delta {
		before := binary.LittleEndian.Uint32(src[4*j:])
		w := math.Float32frombits(before)
		after := math.Float32bits(w + add)
		if after&0x7f800000 == 0x7f800000 {
			if w != w {
				after = before | 0x400000
			} else {
				if after&0x7fffff != 0 {
					after = math.Float32bits(canonicalNaN)
				}
				if before&0x7f800000 != 0x7f800000 {
					c.NonFinite++
				}
			}
		}
		if after != before {
			c.Changed++
		}
		binary.LittleEndian.PutUint32(dst[4*j:], after)
	}
	return c
}
