package baseoverlap

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/phi"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// noInfinity makes JSON of what Python writes; the values compared here are all finite.
var noInfinity = strings.NewReplacer("-Infinity", "null", "Infinity", "null", "NaN", "null")

func TestReferenceFigure8(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "reference", "golden_diag.json"))
	if err != nil {
		t.Skipf("skipped: no reference values: %v", err)
	}
	var golden struct {
		W, B, A [][]float64
		Scale   float64
		Left    [][]float64 `json:"fig8_W_dW_left"`
	}
	if err := json.Unmarshal([]byte(noInfinity.Replace(string(text))), &golden); err != nil {
		t.Fatal(err)
	}
	report := run(t, diagtest.Target{
		Name: "w", A: diagtest.Rows(golden.A...), B: diagtest.Rows(golden.B...), Base: diagtest.Rows(golden.W...), Scale: golden.Scale,
	}, map[string]float64{"share": 1})
	want := diagtest.Rows(golden.Left...)
	got, ok := report.Grid("w", "", "phi_base_left")
	if !ok || got.Rows != want.Rows || got.Cols != want.Cols {
		t.Fatalf("grid is %v", got)
	}
	for i, value := range want.Values {
		if !(math.Abs(got.Values[i]-value) <= 1e-9*value) {
			t.Errorf("φ(%d, %d) is %.17g, want %.17g", i/want.Cols+1, i%want.Cols+1, got.Values[i], value)
		}
	}
	mean, sd := phi.Null(10, 3, 14)
	for name, value := range map[string]float64{
		"phi_base_rank": 10, "phi_base_left_11": golden.Left[0][0], "phi_base_left_top": golden.Left[9][2], "phi_base_left_full": golden.Left[9][2],
		"phi_base_left_11_null": 1. / 14, "phi_base_left_top_null": mean, "phi_base_left_top_z": (golden.Left[9][2] - mean) / sd,
		// The ten directions are all that the right side has.
		"phi_base_top": 1, "phi_base_top_null": 1,
	} {
		if got, ok := report.Metric("w", "", name); !ok || !(math.Abs(got-value) <= 1e-9*math.Abs(value)) {
			t.Errorf("%s is %.17g, %t, want %.17g", name, got, ok, value)
		}
	}
	if _, ok := report.Metric("w", "", "phi_base_top_z"); ok {
		t.Error("a z where φ is always 1")
	}
}

// W is diagonal and the delta lies along one of its axes, so every overlap is 0 or 1.
func TestByHand(t *testing.T) {
	diagonal := diagtest.Zeros(30, 20)
	for i := range 20 {
		diagonal.Values[i*20+i] = float64(20 - i)
	}
	along := func(axis int) diagtest.Target {
		target := diagtest.Target{Name: "w", Scale: 1, A: diagtest.Zeros(1, 20), B: diagtest.Zeros(30, 1), Base: diagonal}
		target.A.Values[axis], target.B.Values[axis] = 1, 1
		return target
	}
	zero, zeroW, nanA, nanW := along(0), along(0), along(0), along(0)
	zero.Scale = 0
	zeroW.Base = diagtest.Zeros(30, 20)
	nanA.A = diagtest.Rows(slices.Repeat([]float64{math.NaN()}, 20))
	nanW.Base = corner(diagonal, 30, 20)
	nanW.Base.Values[3] = math.Inf(1)
	tests := []struct {
		name      string
		target    diagtest.Target
		top, left float64
		metrics   int
		codes     []string
	}{
		{"the first axis", along(0), 1, 1, 19, []string{"BASE_TOP_DIRECTIONS"}},
		{"the second axis", along(1), 1, 1, 19, []string{"BASE_TOP_DIRECTIONS"}},
		{"the third axis", along(2), 0, 0, 19, nil},
		{"delta zero", zero, 0, 0, 0, []string{"BASE_OVERLAP_UNDEFINED w"}},
		{"base zero", zeroW, 0, 0, 0, []string{"BASE_OVERLAP_UNDEFINED w"}},
		{"factor not finite", nanA, 0, 0, 0, []string{"BASE_OVERLAP_UNDEFINED w"}},
		{"base not finite", nanW, 0, 0, 0, []string{"BASE_OVERLAP_UNDEFINED w"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, test.target, map[string]float64{"z_limit": 3})
			top, _ := report.Metric("w", "", "phi_base_top")
			left, _ := report.Metric("w", "", "phi_base_left_top")
			if math.Abs(top-test.top) > 1e-12 || math.Abs(left-test.left) > 1e-12 || len(report.Metrics) != test.metrics {
				t.Errorf("φ is %g and %g, want %g and %g; metrics %v", top, left, test.top, test.left, report.Metrics)
			}
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Errorf("findings are %q, want %q", codes, test.codes)
			}
		})
	}
}

func TestWithoutBase(t *testing.T) {
	report := run(t, diagtest.Target{Name: "w", Scale: 1, A: diagtest.Rows([]float64{1, 2}), B: diagtest.Rows([]float64{1}, []float64{0})}, nil)
	if codes := report.Codes(); !slices.Equal(codes, []string{"BASE_OVERLAP_UNDEFINED"}) || len(report.Metrics) > 0 {
		t.Errorf("findings are %q, metrics %v", codes, report.Metrics)
	}
}

// The numbers do not depend on how delta W is written, and transposing everything swaps the sides.
func TestMetamorphic(t *testing.T) {
	stream := splitmix.New("test", "metamorphic", 0)
	matrix := func(rows, cols int) diagtest.Matrix {
		m := diagtest.Zeros(rows, cols)
		stream.Normals(m.Values)
		return m
	}
	target := diagtest.Target{Name: "w", Scale: 0.5, A: matrix(3, 16), B: matrix(22, 3), Base: matrix(22, 16)}
	g := diagtest.Rows([]float64{2, 1, 0}, []float64{0, 1, 3}, []float64{1, 0, 1})
	inverse := diagtest.Rows([]float64{.2, -.2, .6}, []float64{.6, .4, -1.2}, []float64{-.2, .2, .4})
	refactored, scaled, flipped, padded, fan, transposed := target, target, target, target, target, target
	refactored.A, refactored.B = product(inverse, target.A), product(target.B, g)
	scaled.Scale = 64
	flipped.Scale = -1
	padded.A, padded.B = corner(target.A, 5, 16), corner(target.B, 22, 5)
	fan.FanInFanOut = true
	transposed.A, transposed.B, transposed.Base = turned(target.B), turned(target.A), turned(target.Base)
	params := map[string]float64{"share": 0.5}
	want := run(t, target, params)
	for name, changed := range map[string]diagtest.Target{
		"B G and inverse of G times A": refactored, "alpha": scaled, "sign": flipped, "rank padded with zeros": padded, "stored transposed": fan,
		"transposed": transposed,
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, changed, params)
			if len(got.Metrics) != len(want.Metrics) || len(got.Grids) != len(want.Grids) || len(want.Metrics) != 19 || len(want.Grids) != 5 {
				t.Fatalf("metrics %v, grids %v", got.Metrics, got.Grids)
			}
			other := func(own string) string {
				if rest, ok := strings.CutPrefix(own, "phi_base_left"); ok && name == "transposed" {
					return "phi_base" + rest
				} else if rest, ok := strings.CutPrefix(own, "phi_base"); ok && name == "transposed" && !strings.HasPrefix(rest, "_r") {
					return "phi_base_left" + rest
				}
				return own
			}
			for _, m := range want.Metrics {
				if value, ok := got.Metric("w", "", other(m.Name)); !ok || !(math.Abs(value-m.Value) <= 1e-9*max(1, math.Abs(m.Value))) {
					t.Errorf("%s is %g, want %g", m.Name, value, m.Value)
				}
			}
			for _, grid := range want.Grids {
				if grid.Name == "phi_base_random" && name == "transposed" {
					continue // drawn in as many dimensions as there are inputs
				}
				given, _ := got.Grid("w", "", other(grid.Name))
				if !slices.EqualFunc(given.Values, grid.Values, func(a, b float64) bool { return math.Abs(a-b) <= 1e-9 }) {
					t.Errorf("grid %s is %v, want %v", grid.Name, given, grid)
				}
			}
		})
	}
}

// Random directions give what the closed form says.
func TestRandomPanel(t *testing.T) {
	const n, draws = 24, 200
	stream := splitmix.New("test", "panel", 0)
	a, b, w := diagtest.Zeros(4, n), diagtest.Zeros(n, 4), diagtest.Zeros(n, n)
	for _, m := range []diagtest.Matrix{a, b, w} {
		stream.Normals(m.Values)
	}
	var targets []diagtest.Target
	for i := range draws {
		targets = append(targets, diagtest.Target{Name: "w" + strings.Repeat("i", i), Scale: 1, A: a, B: b, Base: w})
	}
	report := runAll(t, targets, map[string]float64{"share": 0.25})
	var sum, squares float64
	for _, target := range targets {
		grid, _ := report.Grid(target.Name, "", "phi_base_random")
		value := grid.At(5, 3)
		sum, squares = sum+value/draws, squares+value*value/draws
	}
	mean, sd := phi.Null(6, 4, n)
	if got := math.Sqrt(squares - sum*sum); math.Abs(sum-mean) > 5*sd/math.Sqrt(draws) || math.Abs(got/sd-1) > 0.25 {
		t.Errorf("random panels have mean %g and deviation %g, want %g and %g", sum, got, mean, sd)
	}
}

func TestLadder(t *testing.T) {
	tests := []struct {
		top, limit int
		want       []int
	}{
		{3, 64, []int{1, 2, 3}}, {3, 3, []int{1, 2, 3}}, {100, 0, nil}, {100, 1, []int{100}}, {100, 2, []int{1, 100}},
		{100, 5, []int{1, 3, 10, 32, 100}}, {9, 8, []int{1, 2, 3, 4, 5, 6, 7, 9}},
	}
	for _, test := range tests {
		if got := ladder(test.top, test.limit); !slices.Equal(got, test.want) {
			t.Errorf("ladder(%d, %d) is %v, want %v", test.top, test.limit, got, test.want)
		}
	}
	for _, top := range []int{65, 410, 512} {
		if rows := ladder(top, 64); len(rows) != 64 || rows[63] != top || !slices.IsSorted(rows) || len(slices.Compact(rows)) != 64 {
			t.Errorf("ladder(%d, 64) is %v", top, rows)
		}
	}
}

func TestTopCount(t *testing.T) {
	for _, test := range []struct {
		share   float64
		n, want int
	}{{0.1, 192, 20}, {0.1, 4096, 410}, {0.1, 30, 3}, {0.07, 100, 7}, {0, 5, 1}, {7, 5, 5}, {0.1, 1, 1}} {
		if got := topCount(test.share, test.n); got != test.want {
			t.Errorf("%g of %d is %d, want %d", test.share, test.n, got, test.want)
		}
	}
}

func run(t *testing.T, target diagtest.Target, params map[string]float64) *diagtest.Report {
	t.Helper()
	return runAll(t, []diagtest.Target{target}, params)
}

func runAll(t *testing.T, targets []diagtest.Target, params map[string]float64) *diagtest.Report {
	t.Helper()
	all := map[string]float64{"share": 0.1, "grid_base": 64, "grid_rank": 64, "phi_limit": 0.5, "z_limit": 5}
	for name, value := range params {
		all[name] = value
	}
	report := diagtest.Run(t, diagtest.Adapter{
		Targets: targets, Params: all, Grants: []abi.Capability{abi.CapBase, abi.CapKernels},
	}, Diagnose)
	if report.Err != nil {
		t.Fatal(report.Err)
	}
	return report
}

func product(m, n diagtest.Matrix) diagtest.Matrix {
	out := diagtest.Zeros(m.Rows, n.Cols)
	for i := range m.Rows {
		for j := range n.Cols {
			for k := range m.Cols {
				out.Values[i*n.Cols+j] += m.At(i, k) * n.At(k, j)
			}
		}
	}
	return out
}

// corner gives m in the corner of rows x cols zeros.
func corner(m diagtest.Matrix, rows, cols int) diagtest.Matrix {
	out := diagtest.Zeros(rows, cols)
	for i := range m.Rows {
		copy(out.Values[i*cols:], m.Values[i*m.Cols:(i+1)*m.Cols])
	}
	return out
}

func turned(m diagtest.Matrix) diagtest.Matrix {
	out := diagtest.Zeros(m.Cols, m.Rows)
	for i, value := range m.Values {
		out.Values[i%m.Cols*m.Rows+i/m.Cols] = value
	}
	return out
}
