package diagtest

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
)

func TestComparison(t *testing.T) {
	want := &Report{
		Metrics: []Metric{{"w", "", "size", 10}, {"w", "peer", "cosine", 0.5}, {"", "", "infinite", math.Inf(1)}},
		Grids:   []Grid{{"w", "", "phi", Rows([]float64{1, 2}, []float64{3, 4})}},
	}
	// changed gives the report with one number replaced.
	changed := func(at int, value float64) *Report {
		got := &Report{Metrics: slices.Clone(want.Metrics), Grids: slices.Clone(want.Grids)}
		if at < len(got.Metrics) {
			got.Metrics[at].Value = value
			return got
		}
		got.Grids[0].Matrix = got.Grids[0].Padded(2, 2)
		got.Grids[0].Values[at-len(got.Metrics)] = value
		return got
	}
	more, fewer, wider := changed(0, 10), changed(0, 10), changed(0, 10)
	more.Metrics = append(more.Metrics, Metric{"v", "", "size", 1})
	fewer.Metrics = fewer.Metrics[1:]
	wider.Grids[0].Matrix = wider.Grids[0].Padded(2, 3)
	renamed := changed(0, 10)
	renamed.Metrics[0].Name = "other"
	rename := func(name string) string {
		if name == "size" {
			return "other"
		}
		return name
	}
	tests := []struct {
		name string
		c    Comparison
		got  *Report
		want []string
	}{
		{"equal", Comparison{}, changed(0, 10), nil},
		{"off by the least", Comparison{}, changed(0, math.Nextafter(10, 11)),
			[]string{"metric size of w is 10.000000000000002, want 10"}},
		{"within relative", Comparison{Relative: 0.1}, changed(0, 10.9), nil},
		{"beyond relative", Comparison{Relative: 0.1}, changed(1, 0.4),
			[]string{"metric cosine of w with peer is 0.40000000000000002, want 0.5"}},
		{"within absolute", Comparison{Absolute: 0.1}, changed(1, 0.45), nil},
		{"a grid", Comparison{Absolute: 0.1}, changed(5, 7), []string{"grid phi of w is 7 at (1, 0), want 3"}},
		{"NaN", Comparison{Relative: 1}, changed(0, math.NaN()), []string{"metric size of w is NaN, want 10"}},
		{"infinity", Comparison{Relative: 1}, changed(2, math.Inf(-1)), []string{"metric infinite is -Inf, want +Inf"}},
		{"factor", Comparison{Factors: map[string]float64{"size": 3}}, changed(0, 30), nil},
		{"factor missed", Comparison{Factors: map[string]float64{"size": 3}}, changed(0, 10), []string{"metric size of w is 10, want 30"}},
		{"excepted", Comparison{Except: []string{"si?e"}}, changed(0, 30), nil},
		{"not among those", Comparison{Only: []string{"cos*", "phi"}}, changed(0, 30), nil},
		{"among those", Comparison{Only: []string{"cos*", "phi"}}, changed(1, 30), []string{"metric cosine of w with peer is 30, want 0.5"}},
		{"nothing to compare", Comparison{Only: []string{"absent"}}, changed(0, 10),
			[]string{"there is nothing to compare: no metric or grid that the comparison covers"}},
		{"one more", Comparison{}, more, []string{"metric size of v was not there before"}},
		{"one less", Comparison{}, fewer, []string{"metric size of w is missing"}},
		{"another shape", Comparison{}, wider, []string{"grid phi of w is 2 x 3, want 2 x 2"}},
		{"renamed", Comparison{Rename: rename}, renamed, nil},
		{"not renamed", Comparison{Rename: rename}, changed(0, 10),
			[]string{"metric other of w is missing", "metric size of w was not there before"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.c.differences(test.got, want); !slices.Equal(got, test.want) {
				t.Errorf("differences\n got %q\nwant %q", got, test.want)
			}
		})
	}
}

// ended is a test that says what ended it.
type ended struct {
	testing.TB
	said string
}

func (e *ended) Helper() {}

func (e *ended) Fatalf(format string, args ...any) {
	e.said = fmt.Sprintf(format, args...)
	panic(e.said)
}

func TestConfigured(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.json")
	text := `{"id":"m","version":"1.0.0","title":"t","cost":"factors","needs":["kernels"],` +
		`"params":{"a":{"default":1,"doc":"d"},"b":{"default":2,"doc":"d"}}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	given := map[string]float64{"b": 3}
	got := Configured(t, file, Adapter{Params: given})
	if got.Params["a"] != 1 || got.Params["b"] != 3 || len(got.Params) != 2 || !slices.Equal(got.Grants, []abi.Capability{abi.CapKernels}) {
		t.Errorf("configured it is %+v", got)
	}
	if len(given) != 1 {
		t.Errorf("the parameters that were given are now %v", given)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, "needs", "neds", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	e := &ended{TB: t}
	func() {
		defer func() { _ = recover() }()
		Configured(e, file, Adapter{})
	}()
	if !strings.Contains(e.said, "neds") {
		t.Errorf("of a manifest with a wrong member it says %q", e.said)
	}
}
