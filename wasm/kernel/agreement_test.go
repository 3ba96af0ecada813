package kernel

import (
	"fmt"
	"math"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestAgreementWithTheFakeHost holds the kernels against the other implementation of the same definitions, which authors of
// diagnostics test with: dense, in plain loops, written apart from this one.
func TestAgreementWithTheFakeHost(t *testing.T) {
	r := newRand()
	const out, in, rank, k = 128, 64, 5, 4
	for _, fan := range []bool{false, true} {
		t.Run(fmt.Sprintf("fan=%t", fan), func(t *testing.T) {
			b, a, w := scaled(0.02, random(r, out, rank)), random(r, rank, in), decaying(out, in)
			for i, v := range w.Data { // what BF16 stores
				w.Data[i] = float64(tensor.BF16ToF32(tensor.F64ToBF16(v)))
			}
			u, v := random(r, out, 3), random(r, in, 2)
			update := Update{B: b, A: a, Scale: -1.5, Transposed: fan}
			stored := storedMatrix(tensor.BF16, w)
			if fan {
				stored = storedMatrix(tensor.BF16, transposed(w))
			}
			adapter := diagtest.Adapter{Targets: []diagtest.Target{{
				Name: "w", Scale: -1.5, A: plain(a), B: plain(b), Base: plain(w), BaseDType: abi.DTypeBF16, FanInFanOut: fan,
			}}}
			report := diagtest.Run(t, adapter, func(run *diag.Run) error {
				target := run.Targets()[0]
				checkFakeValues(t, target, b, a)
				checkFakeProjection(t, target, stored, fan, u, v)
				checkFakeRounding(t, target, stored, update)
				checkFakeMerged(t, target, stored, update, k)
				return nil
			})
			if report.Err != nil {
				t.Fatal(report.Err)
			}
		})
	}
}

// TestAgreementOnWhatIsNotFinite: weights and deltas that are not finite, and sums that a format cannot hold.
func TestAgreementOnWhatIsNotFinite(t *testing.T) {
	w, b, a := NewMatrix(3, 64), NewMatrix(3, 1), NewMatrix(1, 64)
	w.Data[0], w.Data[1], w.Data[2], w.Data[64], w.Data[65] = math.NaN(), math.Inf(1), 3e38, 65504, 1e-6
	for j := range a.Data {
		a.Data[j] = float64(j % 5)
	}
	b.Data[0], b.Data[1], b.Data[2] = 1e38, 40, 1e-9
	adapter := diagtest.Adapter{Targets: []diagtest.Target{{Name: "w", Scale: 1, A: plain(a), B: plain(b), Base: plain(w)}}}
	report := diagtest.Run(t, adapter, func(run *diag.Run) error {
		for _, f := range everyFormat {
			got, err := Roundings(storedMatrix(tensor.F64, w), Update{B: b, A: a, Scale: 1}, []abi.Format{f}, 0, 3)
			if err != nil {
				return err
			}
			want, err := run.Targets()[0].Rounding(0, 3, f)
			if err != nil {
				return err
			}
			checkRounding(t, f, got[0], want[0])
			if got[0].NonFinite != 2 || got[0].Overflow == 0 && f != abi.FormatF32 {
				t.Errorf("format %d: %+v", f, got[0])
			}
		}
		return nil
	})
	if report.Err != nil {
		t.Fatal(report.Err)
	}
}

func plain(m *Matrix) diagtest.Matrix {
	return diagtest.Matrix{Rows: m.Rows, Cols: m.Cols, Values: m.Data}
}

func checkFakeValues(t *testing.T, target diag.Target, b, a *Matrix) {
	t.Helper()
	got, err := DeltaValues(b, a, target.Scale)
	if err != nil {
		t.Fatal(err)
	}
	want, err := target.DeltaValues()
	if err != nil || len(want) != len(got) {
		t.Fatalf("%d values, the fake gives %d, %v", len(got), len(want), err)
	}
	for i, v := range got {
		if math.Abs(v/want[i]-1) > 1e-11 {
			t.Errorf("value %d is %.15g, the fake gives %.15g", i, v, want[i])
		}
	}
}

func checkFakeProjection(t *testing.T, target diag.Target, w Stored, fan bool, u, v *Matrix) {
	t.Helper()
	got, counts, err := ProjectStats(w, fan, u, v, w.DType)
	if err != nil {
		t.Fatal(err)
	}
	base, _ := target.Base()
	product, want, err := diag.ProjectStats(base, put(t, u), put(t, v))
	if err != nil {
		t.Fatal(err)
	}
	if d := distance(t, got, taken(t, product)); d > 1e-11 {
		t.Errorf("U'WV is off by %g", d)
	}
	if counts.Count != want.Count || counts.Min != want.Min || counts.Max != want.Max || math.Abs(counts.SumSquares/want.SumSquares-1) > 1e-12 {
		t.Errorf("stats are %+v, the fake gives %+v", counts, want)
	}
}

func checkFakeRounding(t *testing.T, target diag.Target, w Stored, update Update) {
	t.Helper()
	rows, _ := w.Shape()
	got, err := Roundings(w, update, everyFormat, 3, rows-4)
	if err != nil {
		t.Fatal(err)
	}
	want, err := target.Rounding(3, rows-4, everyFormat...)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range everyFormat {
		checkRounding(t, f, got[i], want[i])
	}
}

func checkFakeMerged(t *testing.T, target diag.Target, w Stored, update Update, k int) {
	t.Helper()
	u, s, v, err := MergedSVD(t.Context(), w, update, k)
	if err != nil {
		t.Fatal(err)
	}
	want, err := target.MergedSVD(k)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s {
		if math.Abs(s[i]/want.S[i]-1) > 1e-12 {
			t.Errorf("singular value %d is %.15g, the fake gives %.15g", i, s[i], want.S[i])
		}
	}
	if d := max(distance(t, u, taken(t, want.U)), distance(t, v, taken(t, want.V))); d > 1e-10 {
		t.Errorf("singular vectors are off by %g", d)
	}
}

func put(t *testing.T, m *Matrix) diag.Tensor {
	t.Helper()
	held, err := diag.Put(m.Rows, m.Cols, m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func taken(t *testing.T, held diag.Tensor) *Matrix {
	t.Helper()
	rows, cols, err := held.Shape()
	if err != nil {
		t.Fatal(err)
	}
	values, err := held.Values()
	if err != nil {
		t.Fatal(err)
	}
	return &Matrix{rows, cols, values}
}
