package mergeloss

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// On the grid of bf16 a change of less than half a step is lost and one of more is rounded to a whole step; f32 keeps both.
func TestByHand(t *testing.T) {
	const step = 0x1p-7
	target := func(dtype abi.DType, changes ...float64) diagtest.Target {
		one := diagtest.Zeros(1, len(changes))
		for i := range one.Values {
			one.Values[i] = 1
		}
		return diagtest.Target{Name: "w", Scale: 1, A: diagtest.Rows(changes), B: diagtest.Rows([]float64{1}), Base: one, BaseDType: dtype}
	}
	zero, zeroW := target(abi.DTypeBF16, 0, 0), target(abi.DTypeBF16, 1, 2)
	zeroW.Base = diagtest.Zeros(1, 2)
	nanA, nanW := target(abi.DTypeBF16, math.NaN(), 1), target(abi.DTypeBF16, 1, 1)
	nanW.Base = diagtest.Rows([]float64{math.NaN(), 1})
	fine := []string{"MERGE_FORMAT_UNFIT"}
	tests := []struct {
		name    string
		target  diagtest.Target
		metrics map[string]float64
		codes   []string
	}{
		{"kept", target(abi.DTypeBF16, step, -step), map[string]float64{
			"merge_gain": 1, "merge_lost": 0, "merge_relerr": 0, "merge_cosine": 1, "merge_gain_f16": 1, "base_mismatch_f16": 0}, fine},
		{"half kept", target(abi.DTypeBF16, step, step/8), map[string]float64{
			"merge_gain": 64. / 65, "merge_lost": 0.5, "merge_relerr": 1 / math.Sqrt(65), "merge_cosine": 8 / math.Sqrt(65)}, fine},
		{"gone", target(abi.DTypeBF16, step/8, step/8), map[string]float64{
			"merge_gain": 0, "merge_lost": 1, "merge_relerr": 1, "merge_cosine": 0, "merge_gain_f16": 1},
			[]string{"MERGE_SWAMPED w", "MERGE_FORMAT_UNFIT", "MERGE_SWAMPED"}},
		{"doubled by rounding up", target(abi.DTypeBF16, step*.75), map[string]float64{
			"merge_gain": 4. / 3, "merge_lost": 0, "merge_relerr": 1. / 3, "merge_cosine": 1}, fine},
		{"kept by f32, gone in bf16", target(abi.DTypeF32, step/8, step/8), map[string]float64{
			"merge_gain": 1, "merge_gain_bf16": 0, "merge_lost_bf16": 1}, []string{"MERGE_FORMAT_UNFIT", "MERGE_WOULD_ERASE"}},
		{"too large for f16", target(abi.DTypeBF16, 1<<17, 1), map[string]float64{"merge_overflow_f16": 1, "merge_gain_f16": 1},
			[]string{"MERGE_FORMAT_UNFIT", "MERGE_WOULD_OVERFLOW"}},
		{"base zero", zeroW, map[string]float64{"merge_gain": 1, "merge_lost": 0}, fine},
		{"delta zero", zero, nil, []string{"MERGE_LOSS_UNDEFINED w", "MERGE_FORMAT_UNFIT"}},
		{"factor not finite", nanA, nil, []string{"MERGE_LOSS_UNDEFINED w", "MERGE_FORMAT_UNFIT"}},
		{"base not finite", nanW, nil, []string{"MERGE_LOSS_UNDEFINED w", "MERGE_FORMAT_UNFIT"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, nil, test.target)
			for name, want := range test.metrics {
				if got, ok := report.Metric("w", "", name); !ok || !(math.Abs(got-want) <= 1e-12) {
					t.Errorf("%s is %g, %t, want %g", name, got, ok, want)
				}
			}
			if test.metrics == nil && len(report.Metrics) > 0 {
				t.Errorf("metrics are %v", report.Metrics)
			}
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Errorf("findings are %q, want %q", codes, test.codes)
			}
		})
	}
}

// One dead layer is a warning; an adapter of which little is left is to be denied.
func TestSeverity(t *testing.T) {
	stream := splitmix.New("test", "severity", 0)
	alive, dead := random(&stream, "alive", 64, 64, 1), random(&stream, "dead", 64, 64, 1)
	dead.Scale = 1e-5
	tests := []struct {
		name    string
		targets []diagtest.Target
		denied  bool
	}{{"one dead", []diagtest.Target{alive, dead}, false}, {"all dead", []diagtest.Target{dead}, true}}
	for _, test := range tests {
		report := run(t, nil, test.targets...)
		warned, denied := 0, false
		for _, f := range report.Findings {
			if f.Code == "MERGE_SWAMPED" {
				denied = denied || f.Severity == abi.Deny && f.Target == ""
				if f.Severity == abi.Warn && f.Target == "dead" && f.Value < 0.5 && f.Limit == 0.9 && strings.Contains(f.Hint, "f16 or f32") {
					warned++
				}
			}
		}
		if warned != 1 || denied != test.denied {
			t.Errorf("%s: findings %+v", test.name, report.Findings)
		}
	}
	if got, _ := run(t, nil, alive).Metric("", "", "merge_gain"); !(math.Abs(got-1) < 0.01) {
		t.Errorf("the gain of the adapter is %g", got)
	}
}

// What a finding says is true at its gain, also at one just below the limit and at a limit of the operator's own.
func TestSwampedSaysWhatHolds(t *testing.T) {
	const half = "more of it is lost than arrives"
	for _, test := range []struct {
		lost    int // entries of 0.45 of a step, beside one of a whole step
		deny    float64
		says    string
		saysNot string
	}{{6, 0.5, "only 45 % of the adapter is left when the merged weights are stored as the base's are: " + half, "next to nothing"},
		{2, 0.8, "only 71 % of the adapter is left", half}} {
		target := diagtest.Target{Name: "w", Scale: 0x1p-7, A: diagtest.Zeros(1, 1+test.lost), B: diagtest.Rows([]float64{1}),
			Base: diagtest.Zeros(1, 1+test.lost), BaseDType: abi.DTypeBF16}
		for i := range target.A.Values {
			target.A.Values[i], target.Base.Values[i] = 0.45, 1
		}
		target.A.Values[0] = 1
		var ofWeight, ofAdapter string
		for _, f := range run(t, map[string]float64{"deny_gain": test.deny}, target).Findings {
			switch {
			case f.Code == "MERGE_SWAMPED" && f.Target == "":
				ofAdapter = f.Message
			case f.Code == "MERGE_SWAMPED":
				ofWeight = f.Message
			}
		}
		if !strings.HasPrefix(ofAdapter, test.says) || strings.Contains(ofAdapter, test.saysNot) {
			t.Errorf("of the adapter it says %q, want %q", ofAdapter, test.says)
		}
		if !strings.Contains(ofWeight, ": many of its entries are too small") {
			t.Errorf("of the weight it says %q", ofWeight)
		}
	}
}

// Rounding to four bits erases a small change, and the finding names the formats that do.
func TestQuantizationErases(t *testing.T) {
	stream := splitmix.New("test", "erased", 0)
	target := random(&stream, "w", 64, 128, 4)
	target.Scale = 1e-3
	report := run(t, nil, target)
	for name, limit := range map[string]float64{"merge_gain_nf4": 0.1, "merge_gain_q4_0": 0.1} {
		if got, ok := report.Metric("w", "", name); !ok || got > limit {
			t.Errorf("%s is %g, %t", name, got, ok)
		}
		if got, ok := report.Metric("", "", name); !ok || got > limit {
			t.Errorf("%s of the adapter is %g, %t", name, got, ok)
		}
	}
	if mismatch, _ := report.Metric("w", "", "base_mismatch_nf4"); mismatch < 10 {
		t.Errorf("base_mismatch_nf4 is %g", mismatch)
	}
	i := slices.IndexFunc(report.Findings, func(f diagtest.Finding) bool { return f.Code == "MERGE_WOULD_ERASE" })
	if i < 0 || !strings.Contains(report.Findings[i].Message, "q4_0") || !strings.Contains(report.Findings[i].Message, "nf4") ||
		strings.Contains(report.Findings[i].Message, " f16") || report.Findings[i].Severity != abi.Info {
		t.Errorf("findings are %+v", report.Findings)
	}
}

func TestParams(t *testing.T) {
	stream := splitmix.New("test", "params", 0)
	target := random(&stream, "w", 16, 64, 2)
	none := map[string]float64{"whatif_bf16": 0, "whatif_f16": 0, "whatif_q8_0": 0, "whatif_q4_0": 0, "whatif_nf4": 0}
	if report := run(t, none, target); len(report.Metrics) != 5 {
		t.Errorf("without what-ifs metrics are %v", report.Metrics)
	}
	// The base's own format is no what-if; each of the others has five numbers for the weight and one for the adapter.
	if report := run(t, nil, target); len(report.Metrics) != 5+4*6 {
		t.Errorf("metrics are %v", report.Metrics)
	}
	target.FanInFanOut = true // rows of 16
	if report := run(t, nil, target); len(report.Metrics) != 5+6 || !slices.Contains(report.Codes(), "MERGE_FORMAT_UNFIT") {
		t.Errorf("stored transposed, metrics are %v", report.Metrics)
	}
}

func TestWithoutBase(t *testing.T) {
	report := run(t, nil, diagtest.Target{Name: "w", Scale: 1, A: diagtest.Rows([]float64{1, 2}), B: diagtest.Rows([]float64{1}, []float64{0})})
	if codes := report.Codes(); !slices.Equal(codes, []string{"MERGE_LOSS_UNDEFINED"}) || len(report.Metrics) > 0 {
		t.Errorf("findings are %q, metrics %v", codes, report.Metrics)
	}
}

// What is lost depends on delta W, not on how it is written: up to the rounding of f64, which only a tie could show.
func TestMetamorphic(t *testing.T) {
	stream := splitmix.New("test", "metamorphic", 0)
	target := random(&stream, "w", 64, 64, 3)
	target.Scale = 0.01
	adapter := configured(t, nil, target)
	same := diagtest.Comparison{Relative: 1e-9, Absolute: 1e-9}
	// Stored transposed, a whole transposed problem is the same rows of the same numbers.
	diagtest.Invariant(t, adapter, Diagnose, same, append(diagtest.SameChange(), diagtest.Rewriting{
		Name: "transposed and stored so",
		Of: func(t diagtest.Target) diagtest.Target {
			return diagtest.StoreTransposed().Of(diagtest.Transpose().Of(t))
		},
	})...)
	same.Except = []string{"*q4_0", "*nf4"} // the formats of four bits round the two signs differently
	diagtest.Invariant(t, adapter, Diagnose, same, diagtest.RescaleAll(-1))
}

func run(t *testing.T, params map[string]float64, targets ...diagtest.Target) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, configured(t, params, targets...), Diagnose)
}

// configured is an adapter as the manifest runs it, but for the parameters given.
func configured(t *testing.T, params map[string]float64, targets ...diagtest.Target) diagtest.Adapter {
	t.Helper()
	return diagtest.Configured(t, "merge-loss.json", diagtest.Adapter{Targets: targets, Params: params})
}

// random is a target whose base lies on the grid of bf16.
func random(stream *splitmix.Stream, name string, out, in, rank int) diagtest.Target {
	w := diagtest.Filled(out, in, stream.Normals)
	for i, v := range w.Values {
		w.Values[i] = onGrid(v)
	}
	return diagtest.Target{
		Name: name, Scale: 0.5, A: diagtest.Filled(rank, in, stream.Normals), B: diagtest.Filled(out, rank, stream.Normals),
		Base: w, BaseDType: abi.DTypeBF16,
	}
}

// onGrid cuts a number down to the eight significant bits of bf16.
func onGrid(v float64) float64 { return math.Float64frombits(math.Float64bits(v) &^ (1<<45 - 1)) }
