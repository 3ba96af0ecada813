package diagtest

import (
	"errors"
	"math"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// The fake refuses what a real run refuses: a diagnostic that passes its native tests must not fail on its first adapter.
func TestRefusesWhatARealRunRefuses(t *testing.T) {
	adapter := Adapter{Targets: []Target{{
		Name: "w", Scale: 1, A: Rows([]float64{1, 2}), B: Rows([]float64{3}, []float64{4}), Base: Rows([]float64{1, 0}, []float64{0, 1}),
	}}}
	for _, c := range []struct {
		name string
		call func(target diag.Target, w diag.Tensor) error
		want error
	}{
		{"stats of W", func(_ diag.Target, w diag.Tensor) error { _, err := w.Stats(); return err }, nil},
		{"project of W", func(t diag.Target, w diag.Tensor) error { _, err := diag.Project(w, t.B(), t.B()); return err }, nil},
		{"project by W", func(t diag.Target, w diag.Tensor) error { _, err := diag.Project(w, w, t.B()); return err }, abi.Unsupported},
		{"matmul of W", func(t diag.Target, w diag.Tensor) error { _, err := diag.MatMul(w, t.B(), 0); return err }, abi.Unsupported},
		{"axpby of W", func(_ diag.Target, w diag.Tensor) error { _, err := diag.Axpby(1, w, 1, w); return err }, abi.Unsupported},
		{"qr of W", func(_ diag.Target, w diag.Tensor) error { _, _, err := diag.QR(w); return err }, abi.Unsupported},
		{"svd of W", func(_ diag.Target, w diag.Tensor) error { _, err := diag.SVD(w); return err }, abi.Unsupported},
		{"delta_svd of W", func(t diag.Target, w diag.Tensor) error { _, err := diag.DeltaSVD(w, t.A(), 1); return err }, abi.Unsupported},
		{"delta_values of W", func(t diag.Target, w diag.Tensor) error { _, err := diag.DeltaValues(w, t.A(), 1); return err }, abi.Unsupported},
		{"project_stats of W", func(t diag.Target, w diag.Tensor) error { _, _, err := diag.ProjectStats(w, t.B(), t.B()); return err }, nil},
		{"project_stats by W", func(t diag.Target, w diag.Tensor) error { _, _, err := diag.ProjectStats(w, w, t.B()); return err },
			abi.Unsupported},
		{"rounding", rounding1(0, 2, abi.FormatBF16), nil},
		{"rounding to F64", rounding1(0, 2, 4), abi.Unsupported},
		{"rounding of rows in part of a block", rounding1(0, 2, abi.FormatQ4_0), abi.Shape},
		{"rounding of rows that are not there", rounding1(1, 2, abi.FormatBF16), abi.Range},
		{"rounding to no format", func(t diag.Target, _ diag.Tensor) error { _, err := t.Rounding(0, 2); return err }, abi.Range},
		{"merged_svd", func(t diag.Target, _ diag.Tensor) error { _, err := t.MergedSVD(2); return err }, nil},
		{"merged_svd of more than there are", func(t diag.Target, _ diag.Tensor) error { _, err := t.MergedSVD(3); return err }, abi.Range},
		{"round_loss in F32", func(t diag.Target, _ diag.Tensor) error { _, err := t.RoundLoss(abi.DTypeF32); return err }, nil},
		{"round_loss in F64", func(t diag.Target, _ diag.Tensor) error { _, err := t.RoundLoss(abi.DTypeF64); return err }, abi.Unsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := Run(t, adapter, func(run *diag.Run) error {
				w, _ := run.Targets()[0].Base()
				return c.call(run.Targets()[0], w)
			})
			if !errors.Is(report.Err, c.want) {
				t.Errorf("%v, want %v", report.Err, c.want)
			}
		})
	}
}

func rounding1(first, rows int, format abi.Format) func(diag.Target, diag.Tensor) error {
	return func(t diag.Target, _ diag.Tensor) error {
		_, err := t.Rounding(first, rows, format)
		return err
	}
}

// A weight that is not finite counts as it does in a real run: infinity stays infinity, and the delta there is lost.
func TestRoundLossOfWeightsThatAreNotFinite(t *testing.T) {
	w := Rows([]float64{math.NaN(), math.Inf(1), 1})
	loss := roundLoss(w, Rows([]float64{1}), Rows([]float64{1, 1, 1}), 1, abi.DTypeF32)
	want := abi.RoundLoss{Count: 3, Changed: 1, NonZero: 3, Lost: 2, FirstOverflow: -1, Dot: 1, DeltaSquares: 1, RoundedSquares: 1}
	if loss != want {
		t.Errorf("%+v, want %+v", loss, want)
	}
}
