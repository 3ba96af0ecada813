package diag_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// TestDispatch: a guest of several diagnostics runs the one that the host names.
func TestDispatch(t *testing.T) {
	var ran []string
	note := func(name string) func(*diag.Run) error {
		return func(*diag.Run) error { ran = append(ran, name); return nil }
	}
	dispatch := diag.Dispatch(map[string]func(*diag.Run) error{"first": note("first"), "second": note("second")})
	for _, c := range []struct{ id, ran, says string }{
		{"second", "second", ""}, {"third", "", "no diagnostic called third"}, {"", "", "was not told which"},
	} {
		ran = nil
		adapter := sample()
		if c.id != "" {
			adapter.Attrs["module.id"] = c.id
		}
		err := diagtest.Run(t, adapter, dispatch).Err
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) || strings.Join(ran, " ") != c.ran {
			t.Errorf("module %q: ran %v, %v", c.id, ran, err)
		}
	}
}

func TestBank(t *testing.T) {
	adapter := sample()
	adapter.Bank = &diagtest.Bank{
		Names: []string{"sha256:one", "sha256:two", "sha256:three"}, Adapter: [][]float64{{1, 2}, nil},
		Targets: map[string][][]float64{"b.weight": {nil, {3}, {4}}},
	}
	report := diagtest.Run(t, adapter, func(run *diag.Run) error {
		names, ok := run.BankNames()
		if !ok || !slices.Equal(names, adapter.Bank.Names) {
			t.Errorf("names are %v, %t", names, ok)
		}
		if _, ok := run.Targets()[0].BankFeatures(); ok {
			t.Error("features of a target that nobody has features of")
		}
		for _, c := range []struct {
			features func() (diag.Tensor, bool)
			want     string
		}{{run.BankFeatures, "[1 2 NaN NaN NaN NaN]"}, {run.Targets()[1].BankFeatures, "[NaN 3 4]"}} {
			features, ok := c.features()
			if !ok {
				t.Fatal("there are no features")
			}
			if values, err := features.Values(); err != nil || fmt.Sprint(values) != c.want {
				t.Errorf("features are %v, %v; want %s", values, err, c.want)
			}
		}
		return nil
	})
	if report.Err != nil {
		t.Error(report.Err)
	}
	report = diagtest.Run(t, sample(), func(run *diag.Run) error {
		if _, ok := run.BankNames(); ok {
			t.Error("there are names without a bank")
		}
		if _, ok := run.BankFeatures(); ok {
			t.Error("there are features without a bank")
		}
		return nil
	})
	if report.Err != nil {
		t.Error(report.Err)
	}
}
