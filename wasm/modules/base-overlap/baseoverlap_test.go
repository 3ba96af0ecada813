package baseoverlap

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/phi"
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

func TestReferenceFigure8(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	report := run(t, golden.Own(), map[string]float64{"share": 1})
	want := diagtest.Rows(golden.PhiBaseLeft...)
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
		"phi_base_rank": 10, "phi_base_left_11": golden.PhiBaseLeft[0][0], "phi_base_left_top": golden.PhiBaseLeft[9][2], "phi_base_left_full": golden.PhiBaseLeft[9][2],
		"phi_base_left_11_null": 1. / 14, "phi_base_left_top_null": mean, "phi_base_left_top_z": (golden.PhiBaseLeft[9][2] - mean) / sd,
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
	nanW.Base = diagonal.Padded(30, 20)
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

// The columns that mean nothing are those whose gap the dtype of the factors cannot tell from none.
func TestGreyColumns(t *testing.T) {
	target := diagtest.Target{
		Name: "w", Scale: 1, A: diagtest.Rows([]float64{1, 0, 0}, []float64{0, 0.999, 0}),
		B: diagtest.Rows([]float64{1, 0}, []float64{0, 1}, []float64{0, 0}), Base: diagtest.Rows([]float64{3, 0, 0}, []float64{0, 2, 0}, []float64{0, 0, 1}),
	}
	for dtype, want := range map[abi.DType]float64{abi.DTypeBF16: 1, abi.DTypeF16: 0, abi.DTypeF32: 0} {
		target.FactorDType = dtype
		if grid, ok := run(t, target, nil).Grid("w", "", "grey"); !ok || !slices.Equal(grid.Values, []float64{want, 0}) {
			t.Errorf("grey of dtype %d is %v, %t, want %g, 0", dtype, grid.Values, ok, want)
		}
		if grid, ok := run(t, target, map[string]float64{"grid_rank": 1}).Grid("w", "", "grey"); !ok || grid.Cols != 1 {
			t.Errorf("grey is %v, %t, want as many columns as the grids", grid, ok)
		}
	}
}

func TestWithoutBase(t *testing.T) {
	report := run(t, diagtest.Target{Name: "w", Scale: 1, A: diagtest.Rows([]float64{1, 2}), B: diagtest.Rows([]float64{1}, []float64{0})}, nil)
	if codes := report.Codes(); !slices.Equal(codes, []string{"BASE_OVERLAP_UNDEFINED"}) || len(report.Metrics) > 0 {
		t.Errorf("findings are %q, metrics %v", codes, report.Metrics)
	}
}

// The numbers do not depend on how delta W is written nor on its size, and transposing everything swaps the sides.
func TestMetamorphic(t *testing.T) {
	stream := splitmix.New("test", "metamorphic", 0)
	adapter := configured(t, []diagtest.Target{{
		Name: "w", Scale: 0.5, A: diagtest.Filled(3, 16, stream.Normals), B: diagtest.Filled(22, 3, stream.Normals),
		Base: diagtest.Filled(22, 16, stream.Normals),
	}}, map[string]float64{"share": 0.5})
	if report := diagtest.MustRun(t, adapter, Diagnose); len(report.Metrics) != 19 || len(report.Grids) != 6 {
		t.Fatalf("metrics %v, grids %v", report.Metrics, report.Grids)
	}
	same := diagtest.Comparison{Relative: 1e-9, Absolute: 1e-9}
	diagtest.Invariant(t, adapter, Diagnose, same, append(diagtest.SameChange(),
		diagtest.Rescale(128), diagtest.Rescale(-2), diagtest.StoreTransposed())...)
	mirrored := same
	mirrored.Except = []string{"phi_base_random"} // drawn in as many dimensions as there are inputs
	mirrored.Rename = func(name string) string {
		if rest, ok := strings.CutPrefix(name, "phi_base_left"); ok {
			return "phi_base" + rest
		} else if rest, ok := strings.CutPrefix(name, "phi_base"); ok && !strings.HasPrefix(rest, "_r") {
			return "phi_base_left" + rest
		}
		return name
	}
	diagtest.Invariant(t, adapter, Diagnose, mirrored, diagtest.Transpose())
}

// Random directions give what the closed form says.
func TestRandomPanel(t *testing.T) {
	const n, draws = 24, 200
	stream := splitmix.New("test", "panel", 0)
	a, b, w := diagtest.Filled(4, n, stream.Normals), diagtest.Filled(n, 4, stream.Normals), diagtest.Filled(n, n, stream.Normals)
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
	return diagtest.MustRun(t, configured(t, targets, params), Diagnose)
}

// configured is an adapter as the manifest runs it, but for the parameters given.
func configured(t *testing.T, targets []diagtest.Target, params map[string]float64) diagtest.Adapter {
	t.Helper()
	return diagtest.Configured(t, "base-overlap.json", diagtest.Adapter{Targets: targets, Params: params})
}
