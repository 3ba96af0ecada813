package main

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
)

// failures makes calls that must fail, each with a status of its own.
func failures(t diag.Target) {
	a, b := t.A(), t.B()
	gone, err := ramp(2, 2)
	outcome(t, "tensor_put", err)
	gone.Drop()
	_, _, err = gone.Shape()
	outcome(t, "tensor_shape_bad_handle", err)
	outcome(t, "tensor_read_f32_bad_handle", gone.Read32(make([]float32, 1), 0))
	outcome(t, "tensor_read_f64_bad_handle", gone.Read64(make([]float64, 1), 0))
	outcome(t, "tensor_read_f64_range", a.Read64(make([]float64, 2), t.Rank*t.In-1))
	outcome(t, "tensor_read_f64_negative", a.Read64(make([]float64, 1), -1))
	_, err = diag.Put(0, 0, nil)
	outcome(t, "tensor_put_misfit", err)
	_, err = diag.MatMul(gone, a, diag.TransposeNone)
	outcome(t, "matmul_bad_handle", err)
	_, err = diag.MatMul(a, b, diag.TransposeB)
	outcome(t, "matmul_misfit", err)
	_, err = diag.MatMul(b, a, 4)
	outcome(t, "matmul_flags", err)
	column, err := ramp(400, 1)
	outcome(t, "tensor_put_column", err)
	_, err = diag.MatMul(column, column, diag.TransposeB)
	outcome(t, "matmul_quota", err)
	_, err = diag.Axpby(1, a, 1, b)
	outcome(t, "axpby_misfit", err)
	_, err = gone.Stats()
	outcome(t, "stats_bad_handle", err)
	w, _ := t.Base()
	_, _, err = diag.QR(w)
	outcome(t, "qr_of_base", err)
	broken, err := diag.Put(1, 2, []float64{1, math.NaN()})
	outcome(t, "tensor_put_broken", err)
	_, err = diag.SVD(broken)
	outcome(t, "svd_numeric", err)
	_, err = diag.DeltaSVD(a, b, 1)
	outcome(t, "delta_svd_misfit", err)
	_, err = diag.DeltaValues(gone, a, 1)
	outcome(t, "delta_values_bad_handle", err)
	_, err = diag.Project(w, a, b)
	outcome(t, "project_misfit", err)
	_, _, err = diag.ProjectStats(gone, a, b)
	outcome(t, "project_stats_bad_handle", err)
}

func findings() {
	run.Finding(diag.Info, "CONFORMANCE_INFO", "é, ∑ and 🙂 survive", "tabs\tand\nlines become one line", 1.5, math.Inf(1))
	for i, t := range run.Targets() {
		t.Finding(diag.Warn, "CONFORMANCE_WARN", "the message of "+t.Name, "", float64(i), math.NaN())
		t.Finding(diag.Deny, "CONFORMANCE_DENY_2", "", "a hint", 0, math.Inf(-1))
	}
}
