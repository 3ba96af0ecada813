package diagtest

import "github.com/tenon-ml/tenon/sdk/abi"

// base gives the target's W, or else the status to return.
func (f *fake) base(target int32) (Matrix, int32) {
	if !f.granted(abi.CapBase) {
		return Matrix{}, f.denied(abi.CapBase)
	}
	if status := f.target(target); status < 0 {
		return Matrix{}, status
	}
	w := f.adapter.Targets[target].Base
	if w.Values == nil {
		return Matrix{}, f.fail(abi.NotFound, "target %d has no base", target)
	}
	return w, 0
}

func (f *fake) BaseSVD(target, k int32, out *[3]int32) int32 {
	w, status := f.base(target)
	if status < 0 {
		return status
	}
	if k < 1 || int(k) > min(w.Rows, w.Cols) {
		return f.fail(abi.Range, "%d singular triples of a %d x %d matrix", k, w.Rows, w.Cols)
	}
	if !w.finite() {
		return f.notFinite()
	}
	u, s, v := svd(w)
	f.addTriples(u.firstCols(int(k)), s[:k], v.firstCols(int(k)), out)
	return 0
}

func (f *fake) RoundLoss(target, dtype int32, out *[abi.RoundLossSize]byte) int32 {
	w, status := f.base(target)
	if status < 0 {
		return status
	}
	if dtype == 0 {
		dtype = int32(f.infos[target].BaseDType)
	}
	if dtype < int32(abi.DTypeF16) || dtype > int32(abi.DTypeF32) {
		return f.fail(abi.Unsupported, "dtype %d", dtype)
	}
	t := f.adapter.Targets[target]
	if !t.A.finite() || !t.B.finite() || !isFinite(t.Scale) {
		return f.notFinite()
	}
	loss := roundLoss(w, t.B, t.A, t.Scale, abi.DType(dtype))
	copy(out[:], loss.Append(nil))
	return 0
}

func (f *fake) Rounding(target int32, first, rows int64, formats []abi.Format, out []byte) int32 {
	w, status := f.base(target)
	if status < 0 {
		return status
	}
	t := f.adapter.Targets[target]
	delta := t.B.Times(t.A)
	if t.FanInFanOut {
		w, delta = w.Transposed(), delta.Transposed()
	}
	if first < 0 || rows < 1 || first > int64(w.Rows) || rows > int64(w.Rows)-first {
		return f.fail(abi.Range, "%d rows from %d on, the checkpoint stores %d", rows, first, w.Rows)
	}
	if len(formats) < 1 || len(formats) > maxFormats {
		return f.fail(abi.Range, "%d formats, 1 to %d can be asked for at once", len(formats), maxFormats)
	}
	for _, format := range formats {
		if grids[format].block == 0 {
			return f.fail(abi.Unsupported, "format %d", format)
		}
		if w.Cols%grids[format].block != 0 {
			return f.fail(abi.Shape, "rows of %d are no multiple of the block of format %d, %d", w.Cols, format, grids[format].block)
		}
	}
	from, to := int(first)*w.Cols, int(first+rows)*w.Cols
	for i, format := range formats {
		r := rounding(w.Values[from:to], delta.Values[from:to], t.Scale, grids[format])
		copy(out[i*abi.RoundingSize:], r.Append(nil))
	}
	return 0
}

func (f *fake) MergedSVD(target, k int32, out *[3]int32) int32 {
	w, status := f.base(target)
	if status < 0 {
		return status
	}
	if k < 1 || int(k) > min(w.Rows, w.Cols) {
		return f.fail(abi.Range, "%d singular triples of a %d x %d matrix", k, w.Rows, w.Cols)
	}
	t := f.adapter.Targets[target]
	merged := t.B.Times(t.A)
	for i, v := range w.Values {
		merged.Values[i] = v + t.Scale*merged.Values[i]
	}
	if !merged.finite() {
		return f.notFinite()
	}
	u, s, v := svd(merged)
	f.addTriples(u.firstCols(int(k)), s[:k], v.firstCols(int(k)), out)
	return 0
}
