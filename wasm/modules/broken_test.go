package modules

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// tiny is a healthy target of 3 x 4 and rank 2, with its base and the base's singular triples.
func tiny(t *testing.T, change func(a, b, w []float64)) sandbox.Target {
	t.Helper()
	a := []float64{1, 0, 2, 0, 0, 1, 0, -1}
	b := []float64{1, 0, 0, 1, 1, 1}
	w := []float64{4, 0, 0, 1, 0, 3, 0, 1, 0, 0, 2, 1}
	change(a, b, w)
	target := sandbox.Target{
		Name: "w", Rank: 2, In: 4, Out: 3, Scale: 0.5, Alpha: 1,
		A: single("A", 2, 4, a), B: single("B", 3, 2, b), Base: single("W", 3, 4, w),
	}
	target.BaseSVD = decompose(t, target)
	return target
}

func single(name string, rows, cols int, values []float64) sandbox.Source {
	raw := make([]byte, 0, 4*len(values))
	for _, value := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(value)))
	}
	return sandbox.Source{
		Ref:    tensor.Ref{Name: name, DType: tensor.F32, Shape: []int{rows, cols}, Length: int64(len(raw))},
		Reader: bytes.NewReader(raw),
	}
}

// What is wrong with a factor is a finding of the module that looks for it; no module fails on it.
func TestBrokenFactorsAreFindings(t *testing.T) {
	nan := func(a, _, _ []float64) { a[7] = math.NaN() }
	zeroB := func(_, b, _ []float64) { clear(b) }
	overflow := func(_, b, w []float64) { b[4], b[5], w[11] = 0, -1e38, 3.4e38 }
	tests := []struct {
		name    string
		change  func(a, b, w []float64)
		module  string
		codes   string
		metrics int
		says    string
	}{
		{"healthy", func(_, _, _ []float64) {}, "hygiene", "", 0, ""},
		{"healthy", func(_, _, _ []float64) {}, "amplification", "", 13, ""},
		{"healthy", func(_, _, _ []float64) {}, "spectrum", "", 13, ""},
		{"healthy", func(_, _, _ []float64) {}, "similarity", "", 27, ""},
		{"NaN at the end of A", nan, "hygiene", "AD_NONFINITE", 0, "index 7 (row 1, column 3)"},
		{"NaN at the end of A", nan, "amplification", "AMPLIFICATION_UNDEFINED", 0, ""},
		{"NaN at the end of A", nan, "spectrum", "SPECTRUM_UNDEFINED", 0, "A has NaN at (1, 3)"},
		{"NaN at the end of A", nan, "similarity", "SIMILARITY_UNDEFINED", 6, ""}, // how many weights they share,
		{"zero B", zeroB, "hygiene", "AD_ZERO AD_NO_EFFECT", 0, "factor B"},
		{"zero B", zeroB, "amplification", "AMPLIFICATION_UNDEFINED", 4, ""},
		{"zero B", zeroB, "spectrum", "SPECTRUM_UNDEFINED", 0, "delta W is zero"},
		{"zero B", zeroB, "similarity", "SIMILARITY_UNDEFINED", 12, "no directions to compare"}, // of phi_a and how many weights they share
		{"overflow", overflow, "hygiene", "AD_OVERFLOW_ON_MERGE", 0,
			"1 of 12 merged values do not fit F32; the first at index 11 (row 2, column 3)"},
	}
	runner := newRunner(t)
	for _, test := range tests {
		t.Run(test.name+"/"+test.module, func(t *testing.T) {
			target := tiny(t, test.change)
			peer := target
			result := runner.run(t, test.module, sandbox.Input{
				Targets: []sandbox.Target{target}, Peers: []sandbox.Peer{{Name: "peer", Targets: []*sandbox.Target{&peer}}},
			})
			var codes []string
			for _, finding := range result.Findings {
				codes = append(codes, finding.Code)
			}
			if got := strings.Join(codes, " "); got != test.codes || len(result.Metrics) != test.metrics {
				t.Fatalf("findings %+v and %d metrics, want %s and %d", result.Findings, len(result.Metrics), test.codes, test.metrics)
			}
			if test.says != "" && !strings.Contains(result.Findings[0].Message, test.says) {
				t.Errorf("message is %q, want it to say %q", result.Findings[0].Message, test.says)
			}
		})
	}
}

// A guest sees W as out x in, however the checkpoint stores it.
func TestTransposedBase(t *testing.T) {
	runner := newRunner(t)
	plain := tiny(t, func(_, _, w []float64) { w[5] = 3.4e38 })
	plain.Scale = 1e38
	transposed := plain
	transposed.FanInFanOut = true
	transposed.Base = single("W", 4, 3, []float64{4, 0, 0, 0, 3.4e38, 0, 0, 0, 2, 1, 1, 1})
	for _, module := range []string{"hygiene", "amplification"} {
		want := runner.run(t, module, sandbox.Input{Targets: []sandbox.Target{plain}})
		got := runner.run(t, module, sandbox.Input{Targets: []sandbox.Target{transposed}})
		if len(want.Metrics)+len(want.Findings) == 0 {
			t.Errorf("%s says nothing that could differ", module)
		}
		near := func(a, b sandbox.Metric) bool {
			return a.Name == b.Name && math.Abs(a.Value-b.Value) <= 1e-12*max(1, math.Abs(b.Value))
		}
		if !slices.EqualFunc(got.Metrics, want.Metrics, near) || !slices.Equal(got.Findings, want.Findings) {
			t.Errorf("%s transposed\n got %+v %+v\nwant %+v %+v", module, got.Metrics, got.Findings, want.Metrics, want.Findings)
		}
	}
}
