package main

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

func kernels(t diag.Target) {
	a, b := t.A(), t.B()
	ba, err := diag.MatMul(b, a, diag.TransposeNone)
	matrix(t, "matmul", ba, err)
	bb, err := diag.MatMul(b, b, diag.TransposeA)
	matrix(t, "matmul_ta", bb, err)
	aa, err := diag.MatMul(a, a, diag.TransposeB)
	matrix(t, "matmul_tb", aa, err)
	ab, err := diag.MatMul(a, b, diag.TransposeA|diag.TransposeB)
	matrix(t, "matmul_ta_tb", ab, err)
	mixed, err := diag.Axpby(0.5, aa, -0.25, bb)
	matrix(t, "axpby", mixed, err)
	stats, err := a.Stats()
	counts(t, "a_stats", stats, err)
	stats, err = ba.Stats()
	counts(t, "matmul_stats", stats, err)
	q, r, err := diag.QR(b)
	matrix(t, "qr_q", q, err)
	matrix(t, "qr_r", r, err)
	s, err := diag.SVD(ba)
	triples(t, "svd", s, err)
	delta, err := t.DeltaSVD()
	triples(t, "delta_svd", delta, err)
	nothing, err := diag.DeltaSVD(b, a, 0)
	triples(t, "delta_svd_of_nothing", nothing, err)
	values, err := t.DeltaValues()
	if outcome(t, "delta_values", err) {
		numbers(t, "delta_values", 1, len(values), values)
	}
	values, err = diag.DeltaValues(b, a, 0)
	if outcome(t, "delta_values_of_nothing", err) {
		t.Metric("delta_values_of_nothing_k", float64(len(values)))
	}
	for _, made := range []diag.Tensor{ba, bb, aa, ab, mixed, q, r} {
		made.Drop()
	}
}

func weights(t diag.Target) {
	w, ok := t.Base()
	t.Metric("base", flag(ok))
	u, err := ramp(t.Out, 2)
	outcome(t, "tensor_put_u", err)
	v, err := ramp(t.In, 3)
	outcome(t, "tensor_put_v", err)
	if ok {
		matrix(t, "base", w, nil)
		stats, err := w.Stats()
		counts(t, "base_stats", stats, err)
		projected, err := diag.Project(w, u, v)
		matrix(t, "project", projected, err)
		projected, stats, err = diag.ProjectStats(w, u, v)
		matrix(t, "project_stats", projected, err)
		counts(t, "project_stats_of_w", stats, err)
	}
	s, err := t.BaseSVD(2)
	triples(t, "base_svd", s, err)
	s, err = t.BaseSVD(1000)
	triples(t, "base_svd_too_many", s, err)
	for _, d := range []struct {
		name  string
		dtype abi.DType
	}{{"round_loss", 0}, {"round_loss_f16", abi.DTypeF16}, {"round_loss_f64", abi.DTypeF64}} {
		l, err := t.RoundLoss(d.dtype)
		if outcome(t, d.name, err) {
			t.Grid(d.name, 1, 10, []float64{float64(l.Count), float64(l.Changed), float64(l.NonZero), float64(l.Lost), float64(l.Overflow),
				float64(l.FirstOverflow), l.Dot, l.DeltaSquares, l.RoundedSquares, l.ErrorSquares})
		}
	}
	rows := t.Out
	if t.FanInFanOut {
		rows = t.In
	}
	rounded(t, "rounding", 0, rows, abi.FormatF16, abi.FormatBF16, abi.FormatF32, abi.FormatQ8_0, abi.FormatQ4_0, abi.FormatNF4)
	rounded(t, "rounding_of_two_rows", 1, 2, abi.FormatBF16, abi.FormatF32)
	rounded(t, "rounding_of_too_many", rows, 1, abi.FormatBF16)
	rounded(t, "rounding_to_unknown", 0, 1, abi.Format(99))
	s, err = t.MergedSVD(2)
	triples(t, "merged_svd", s, err)
	s, err = t.MergedSVD(0)
	triples(t, "merged_svd_of_none", s, err)
	u.Drop()
	v.Drop()
}

func rounded(t diag.Target, name string, first, rows int, formats ...abi.Format) {
	all, err := t.Rounding(first, rows, formats...)
	if !outcome(t, name, err) {
		return
	}
	var values []float64
	for _, r := range all {
		values = append(values, float64(r.Count), float64(r.NonZero), float64(r.Lost), float64(r.Changed), float64(r.Overflow),
			float64(r.NonFinite), r.Dot, r.DeltaSquares, r.RoundedSquares, r.ErrorSquares, r.BaseSquares, r.BaseError)
	}
	t.Grid(name, len(all), 12, values)
}
