package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

// TestMergeSeveral checks two adapters beside each other and merges their sum.
func TestMergeSeveral(t *testing.T) {
	h := newHost(t, Options{})
	first, other := filepath.Join(restaurant, "adapter"), otherAdapter(t)
	out := filepath.Join(t.TempDir(), "out")
	request := MergeRequest{
		Adapter: first, Scale: 0.5, Others: []Portion{{other, 0.25}}, Base: filepath.Join(restaurant, "base"), Out: out,
	}
	receipt, r, err := h.Merge(t.Context(), request)
	if err != nil || receipt == nil {
		t.Fatalf("%v, report %+v", err, r)
	}
	if len(receipt.Adapters) != 2 || receipt.Combination == nil || receipt.Combination.Method != merge.Linear || receipt.Gate.Verdict != r.Verdict {
		t.Errorf("the receipt says %+v of %+v, verdict %s; the report says %s", receipt.Combination, receipt.Adapters, receipt.Gate.Verdict, r.Verdict)
	}
	if len(r.Peers) != 1 {
		t.Errorf("it was compared with %d others, want 1", len(r.Peers))
	}
	if _, err := merge.Verify(t.Context(), out); err != nil {
		t.Error(err)
	}
}

// TestMergeSeveralRefused gives adapters of which the second is refused, by its own faults and by the gate.
func TestMergeSeveralRefused(t *testing.T) {
	h := newHost(t, Options{})
	first := filepath.Join(restaurant, "adapter")
	request := MergeRequest{Adapter: first, Scale: 1, Base: filepath.Join(restaurant, "base"), Out: filepath.Join(t.TempDir(), "out")}
	broken := otherAdapter(t)
	if err := os.WriteFile(filepath.Join(broken, "adapter_config.json"), []byte(`{"peft_type":"LORA","r":0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		other Portion
		want  fault.Code // of an error, "" where a report says no
	}{
		{"a change as large as no adapter's", Portion{otherAdapter(t), 1e4}, ""},
		{"a configuration that is none", Portion{broken, 1}, ""},
		{"nothing there", Portion{filepath.Join(t.TempDir(), "none"), 1}, fault.IONotFound},
		{"a scale of 0", Portion{otherAdapter(t), 0}, fault.MergeScale},
	} {
		t.Run(c.name, func(t *testing.T) {
			request := request
			request.Others = []Portion{c.other}
			receipt, r, err := h.Merge(t.Context(), request)
			if receipt != nil {
				t.Fatal("it was merged")
			}
			if c.want != "" {
				if code(err) != c.want {
					t.Errorf("%v, want %s", err, c.want)
				}
				return
			}
			if err != nil || r == nil || r.Verdict.Open() || !slices.Contains([]report.Verdict{report.Deny, report.Inconclusive}, r.Verdict) {
				t.Errorf("%v, report %+v", err, r)
			}
		})
	}
	request.Mixture.Method = "blend"
	if _, _, err := h.Merge(t.Context(), request); code(err) != fault.UsageFlag {
		t.Errorf("an unknown method: %v", err)
	}
}
