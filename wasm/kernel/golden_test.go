package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"sort"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func near(got, want, tolerance float64) bool {
	return math.Abs(got-want) <= tolerance*max(math.Abs(want), 1e-3)
}

// phi is the subspace similarity of the first i columns of u and j of v, for all i and j.
func phi(t *testing.T, u, v *Matrix) [][]float64 {
	t.Helper()
	cosines, err := MatMul(u, v, true, false)
	if err != nil {
		t.Fatal(err)
	}
	grid := make([][]float64, cosines.Rows)
	for i := range grid {
		grid[i] = make([]float64, cosines.Cols)
		for j := range grid[i] {
			var sum float64
			for k := range i + 1 {
				for _, c := range cosines.Row(k)[:j+1] {
					sum += c * c
				}
			}
			grid[i][j] = sum / float64(min(i, j)+1)
		}
	}
	return grid
}

func checkGrid(t *testing.T, name string, got, want [][]float64) {
	t.Helper()
	for i := range want {
		for j := range want[i] {
			if !near(got[i][j], want[i][j], 1e-9) {
				t.Errorf("%s(%d,%d) = %.15g, want %.15g", name, i+1, j+1, got[i][j], want[i][j])
			}
		}
	}
}

func norm(m *Matrix) float64 { return math.Sqrt(dot(m.Data, m.Data)) }

func matrixOf(rows [][]float64) *Matrix {
	m := NewMatrix(len(rows), len(rows[0]))
	for i, row := range rows {
		copy(m.Row(i), row)
	}
	return m
}

func TestGoldenDiagnostics(t *testing.T) {
	var golden struct {
		W, B, A, B2, A2 [][]float64
		Scale           float64
		SingularValues  []float64   `json:"singular_values"`
		PhiA            [][]float64 `json:"phi_A_literal"`
		PhiRight        [][]float64 `json:"phi_right"`
		PhiLeft         [][]float64 `json:"phi_left"`
		BaseLeft        [][]float64 `json:"fig8_W_dW_left"`
		Table7          map[string]float64
		Swamping        map[string]float64 `json:"swamping_bf16"`
		Intruders       struct {
			MaxCos []float64
			S1     []float64
		} `json:"intruders_k3"`
	}
	file := sharedFile(t, "reference", "golden_diag.json")
	file = bytes.ReplaceAll(file, []byte("Infinity"), []byte("null")) // Python writes it in a list that is not read here
	if err := json.Unmarshal(file, &golden); err != nil {
		t.Fatal(err)
	}
	w, b, a := matrixOf(golden.W), matrixOf(golden.B), matrixOf(golden.A)
	u, s, v, rank, err := DeltaSVD(b, a, golden.Scale)
	if err != nil {
		t.Fatal(err)
	}
	u2, _, v2, _, err := DeltaSVD(matrixOf(golden.B2), matrixOf(golden.A2), golden.Scale)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("singular values", func(t *testing.T) {
		for i, want := range golden.SingularValues {
			if !near(s[i], want, 1e-12) {
				t.Errorf("%d: %.16g, want %.16g", i, s[i], want)
			}
		}
		if float64(rank) != golden.Table7["rank"] {
			t.Errorf("rank %d", rank)
		}
	})
	t.Run("phi", func(t *testing.T) {
		checkGrid(t, "right", phi(t, v, v2), golden.PhiRight)
		checkGrid(t, "left", phi(t, u, u2), golden.PhiLeft)
		_, _, va, err := SVD(a)
		if err != nil {
			t.Fatal(err)
		}
		_, _, va2, err := SVD(matrixOf(golden.A2))
		if err != nil {
			t.Fatal(err)
		}
		checkGrid(t, "A", phi(t, va, va2), golden.PhiA)
		uw, _, _, err := TopSVD(context.Background(), w, false, len(golden.BaseLeft))
		if err != nil {
			t.Fatal(err)
		}
		checkGrid(t, "base left", phi(t, uw, u), golden.BaseLeft)
	})
	t.Run("table 7", func(t *testing.T) {
		projection, err := Project(w, false, u, v)
		if err != nil {
			t.Fatal(err)
		}
		uw, _, vw, err := TopSVD(context.Background(), w, false, rank)
		if err != nil {
			t.Fatal(err)
		}
		base, err := Project(w, false, uw, vw)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := Stats(w, tensor.BF16)
		if err != nil {
			t.Fatal(err)
		}
		delta := math.Sqrt(dot(s, s))
		for name, got := range map[string]float64{
			"norm_W": math.Sqrt(stats.SumSquares), "norm_dW": delta, "proj_dW": norm(projection), "proj_W": norm(base),
			"amplification": delta / norm(projection),
		} {
			if !near(got, golden.Table7[name], 1e-10) {
				t.Errorf("%s = %.15g, want %.15g", name, got, golden.Table7[name])
			}
		}
	})
	update := Update{B: b, A: a, Scale: golden.Scale}
	t.Run("intruders", func(t *testing.T) {
		const k = 3
		merged, s, _, err := MergedSVD(t.Context(), w, update, k)
		if err != nil {
			t.Fatal(err)
		}
		base, _, _, err := SVD(w)
		if err != nil {
			t.Fatal(err)
		}
		cosines, err := MatMul(merged, base, true, false)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range golden.Intruders.MaxCos {
			var got float64
			for _, c := range cosines.Row(i) {
				got = max(got, math.Abs(c))
			}
			if !near(got, want, 1e-9) {
				t.Errorf("direction %d has cosine %.15g, want %.15g", i, got, want)
			}
		}
		for i, want := range golden.Intruders.S1 {
			if !near(s[i], want, 1e-9) {
				t.Errorf("singular value %d is %.15g, want %.15g", i, s[i], want)
			}
		}
	})
	t.Run("swamping in f64", func(t *testing.T) {
		all, err := Roundings(storedMatrix(tensor.BF16, w), update, []abi.Format{abi.FormatBF16}, 0, w.Rows)
		if err != nil {
			t.Fatal(err)
		}
		r := all[0]
		checkSwamping(t, r.NonZero, r.Lost, r.Dot, r.DeltaSquares, r.RoundedSquares, r.ErrorSquares, golden.Swamping, 1e-9)
	})
	t.Run("swamping", func(t *testing.T) { // the reference's delta is f64, a merge's is f32
		flat := func(m *Matrix) []byte { return encode(tensor.F64, m.Data...) }
		d, err := kernel.NewDelta(flat(a), tensor.F64, flat(b), tensor.F64, a.Rows, a.Cols, b.Rows, golden.Scale, false)
		if err != nil {
			t.Fatal(err)
		}
		loss, err := RoundLoss(storedMatrix(tensor.BF16, w), tensor.BF16, d)
		if err != nil {
			t.Fatal(err)
		}
		checkSwamping(t, loss.NonZero, loss.Lost, loss.Dot, loss.DeltaSquares, loss.RoundedSquares, loss.ErrorSquares, golden.Swamping, 1e-6)
	})
}

func checkSwamping(t *testing.T, nonZero, lost int64, dot, delta, rounded, errors float64, want map[string]float64, tolerance float64) {
	t.Helper()
	for name, got := range map[string]float64{
		"n": float64(nonZero), "lost_frac": float64(lost) / float64(nonZero), "gain": dot / delta, "rel_err": math.Sqrt(errors / delta),
		"cos": dot / math.Sqrt(delta*rounded),
	} {
		if !near(got, want[name], tolerance) {
			t.Errorf("%s = %.15g, want %.15g", name, got, want[name])
		}
	}
}

// storedMatrix stores m as dtype.
func storedMatrix(dtype tensor.DType, m *Matrix) Stored {
	file := encode(dtype, m.Data...)
	return Stored{Ref: tensor.Ref{Name: "w", DType: dtype, Shape: []int{m.Rows, m.Cols}, Length: int64(len(file))},
		Reader: bytes.NewReader(file)}
}

// TestGoldenTinyLlama compares what metrics are made of with those of every target of every adapter.
func TestGoldenTinyLlama(t *testing.T) {
	var golden struct {
		Adapters map[string]struct {
			Scale   float64
			Targets map[string]struct{ Metrics map[string]float64 }
		}
	}
	if err := json.Unmarshal(sharedFile(t, "models", "tiny-llama", "golden.json"), &golden); err != nil {
		t.Fatal(err)
	}
	base := storedTensors(t, sharedFile(t, "models", "tiny-llama", "base", "model.safetensors"))
	names := make([]string, 0, len(golden.Adapters))
	for name := range golden.Adapters {
		names = append(names, name)
	}
	sort.Strings(names)
	if underRace {
		names = []string{"e2e-qv-r1-s0"}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			factors := storedTensors(t, sharedFile(t, "models", "tiny-llama", "adapters", name, "adapter_model.safetensors"))
			for target, want := range golden.Adapters[name].Targets {
				module := "base_model.model." + strings.TrimSuffix(target, ".weight")
				a, b, w := factors[module+".lora_A.weight"], factors[module+".lora_B.weight"], base[target]
				for metric, got := range metrics(t, w, a, b, golden.Adapters[name].Scale) {
					if !near(got, want.Metrics[metric], 1e-9) {
						t.Errorf("%s: %s = %.15g, want %.15g", target, metric, got, want.Metrics[metric])
					}
				}
			}
		})
	}
}

func metrics(t *testing.T, w, a, b Stored, scale float64) map[string]float64 {
	t.Helper()
	u, s, v, rank, err := DeltaSVD(whole(t, b), whole(t, a), scale)
	if err != nil {
		t.Fatal(err)
	}
	projection, err := Project(w, false, u, v)
	if err != nil {
		t.Fatal(err)
	}
	_, top, _, err := TopSVD(context.Background(), w, false, rank)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := Stats(w, w.DType)
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := w.Shape()
	all, err := Roundings(w, Update{B: whole(t, b), A: whole(t, a), Scale: scale}, []abi.Format{abi.FormatBF16}, 0, rows)
	if err != nil {
		t.Fatal(err)
	}
	loss := all[0]
	return map[string]float64{
		"rank": float64(rank), "sigma_1": s[0], "delta_norm": math.Sqrt(dot(s, s)), "base_norm": math.Sqrt(stats.SumSquares),
		"projection_norm": norm(projection), "projection_norm_base": math.Sqrt(dot(top, top)),
		"merge_gain": loss.Dot / loss.DeltaSquares, "merge_lost": float64(loss.Lost) / float64(loss.NonZero),
		"merge_relerr": math.Sqrt(loss.ErrorSquares / loss.DeltaSquares),
	}
}
