package mergeloss

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

func TestSampledRows(t *testing.T) {
	tests := []struct{ all, want, rows int }{{4096, 256, 256}, {1000, 256, 256}, {300, 256, 256}, {33, 32, 32}, {50, 3, 3}, {100, 40, 32}}
	for _, test := range tests {
		blocks := sampled("w", test.all, test.want)
		rows, end := 0, 0
		for _, b := range blocks {
			if b.first < end || b.rows < 1 || b.first+b.rows > test.all {
				t.Errorf("%d of %d: blocks %v", test.want, test.all, blocks)
				break
			}
			rows, end = rows+b.rows, b.first+b.rows
		}
		if rows != test.rows {
			t.Errorf("%d of %d: %d rows in %v", test.want, test.all, rows, blocks)
		}
		if !slices.Equal(blocks, sampled("w", test.all, test.want)) || test.all == 4096 && slices.Equal(blocks, sampled("v", test.all, test.want)) {
			t.Error("blocks do not follow from the name")
		}
	}
}

// A sample of a weight gives the numbers of the whole within the errors it states, and the errors are no larger than they need to be.
func TestSample(t *testing.T) {
	const weights = 40
	stream := splitmix.New("test", "sample", 0)
	var targets []diagtest.Target
	for i := range weights {
		target := random(&stream, "w"+strings.Repeat("i", i), 512, 16, 2)
		target.Scale = 0.004
		targets = append(targets, target)
	}
	off := map[string]float64{"whatif_q8_0": 0, "whatif_q4_0": 0, "whatif_nf4": 0, "warn_gain": 0, "deny_gain": 0}
	whole := run(t, off, targets...)
	off["exact_limit"], off["sample_rows"] = 0, 128
	sample := run(t, off, targets...)
	for _, name := range []string{"merge_gain", "merge_lost", "merge_relerr"} {
		var squares, within float64
		for _, target := range targets {
			want, _ := whole.Metric(target.Name, "", name)
			got, _ := sample.Metric(target.Name, "", name)
			error, ok := sample.Metric(target.Name, "", name+"_error")
			if !ok || error <= 0 {
				t.Fatalf("%s is %g with error %g, %t; of the whole %g", name, got, error, ok, want)
			}
			z := (got - want) / error
			squares += z * z / weights
			if math.Abs(z) < 3 {
				within++
			}
		}
		if within < weights-2 || squares > 2 || squares < 0.4 {
			t.Errorf("%s: %g of %d within three errors, mean square %g errors", name, within, weights, squares)
		}
	}
	if share, _ := sample.Metric("w", "", "merge_rows_share"); share != 0.25 {
		t.Errorf("%g of the rows", share)
	}
	if _, ok := sample.Metric("w", "", "merge_gain_error_f16"); !ok {
		t.Error("no error of a what-if")
	}
	all, _ := whole.Metric("", "", "merge_gain")
	if got, _ := sample.Metric("", "", "merge_gain"); math.Abs(got-all) > 0.02 {
		t.Errorf("the adapter's gain is %g by samples, %g", got, all)
	}
}

// A weight is not warned of by a sample: it is read as a whole first.
func TestDoubtIsSettledExactly(t *testing.T) {
	stream := splitmix.New("test", "doubt", 0)
	target := random(&stream, "w", 512, 16, 2)
	target.Scale = 1e-4
	whole := run(t, nil, target)
	got := run(t, map[string]float64{"exact_limit": 0, "sample_rows": 64}, target)
	if !slices.Equal(got.Metrics, whole.Metrics) || !slices.Equal(got.Findings, whole.Findings) || !slices.Contains(got.Codes(), "MERGE_SWAMPED w") {
		t.Errorf("by a sample %v %v, as a whole %v %v", got.Metrics, got.Codes(), whole.Metrics, whole.Codes())
	}
}
