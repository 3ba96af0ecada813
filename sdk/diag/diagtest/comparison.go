package diagtest

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag"
)

// Comparison says how near the numbers of two reports have to be. The zero Comparison wants them all, and equal.
type Comparison struct {
	// A number may be off by the larger of Absolute and Relative times what it should be.
	Relative, Absolute float64
	// Factors are what metrics and grids of these names are multiplied by, because the rewriting does that to them.
	Factors map[string]float64
	// Only these metrics and grids are compared (nil: all of them), but for those that Except names: patterns of path.Match.
	Only, Except []string
	// Rename gives the name that a metric or a grid has after the rewriting; nil keeps them.
	Rename func(name string) string
}

// Invariant runs diagnose on adapter and on each rewriting of it, in a subtest each, and holds the metrics and grids against each other:
//
//	diagtest.Invariant(t, adapter, diagnose, diagtest.Comparison{Relative: 1e-9}, diagtest.SameChange()...)
//
// Findings may differ: that a rank is not used is worth one, for instance.
func Invariant(t *testing.T, adapter Adapter, diagnose func(*diag.Run) error, c Comparison, rewritings ...Rewriting) {
	t.Helper()
	want := MustRun(t, adapter, diagnose)
	for _, rewriting := range rewritings {
		t.Run(rewriting.Name, func(t *testing.T) {
			t.Helper()
			c.Check(t, MustRun(t, rewriting.On(adapter), diagnose), want)
		})
	}
}

// Check fails the test for each difference between two reports.
func (c Comparison) Check(t testing.TB, got, want *Report) {
	t.Helper()
	for _, difference := range c.differences(got, want) {
		t.Error(difference)
	}
}

// number is a metric, as a matrix of one value, or a grid.
type number struct {
	kind, target, peer, name string
}

// String gives "metric NAME of TARGET with PEER".
func (n number) String() string {
	text := n.kind + " " + n.name
	if n.target != "" {
		text += " of " + n.target
	}
	if n.peer != "" {
		text += " with " + n.peer
	}
	return text
}

func (r *Report) numbers() (names []number, values map[number]Matrix) {
	values = map[number]Matrix{}
	for _, m := range r.Metrics {
		names = append(names, number{"metric", m.Target, m.Peer, m.Name})
		values[names[len(names)-1]] = Rows([]float64{m.Value})
	}
	for _, g := range r.Grids {
		names = append(names, number{"grid", g.Target, g.Peer, g.Name})
		values[names[len(names)-1]] = g.Matrix
	}
	return names, values
}

func (c Comparison) covers(name string) bool {
	matches := func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok || err != nil // a bad pattern covers everything, which a test does not survive
	}
	return (c.Only == nil || slices.ContainsFunc(c.Only, matches)) && !slices.ContainsFunc(c.Except, matches)
}

func (c Comparison) differences(got, want *Report) (out []string) {
	compared := 0
	given, values := got.numbers()
	known := map[number]bool{}
	names, wanted := want.numbers()
	for _, n := range names {
		after := n
		if c.Rename != nil {
			after.name = c.Rename(n.name)
		}
		known[after] = true
		if !c.covers(n.name) {
			continue
		}
		compared++
		if value, ok := values[after]; !ok {
			out = append(out, after.String()+" is missing")
		} else if difference := c.difference(value, wanted[n], c.factor(n.name)); difference != "" {
			out = append(out, after.String()+difference)
		}
	}
	for _, n := range given {
		if !known[n] && c.covers(n.name) {
			out = append(out, n.String()+" was not there before")
		}
	}
	if compared == 0 {
		out = append(out, "there is nothing to compare: no metric or grid that the comparison covers")
	}
	return out
}

func (c Comparison) factor(name string) float64 {
	if factor, ok := c.Factors[name]; ok {
		return factor
	}
	return 1
}

// difference says where got is not factor times want, or nothing.
func (c Comparison) difference(got, want Matrix, factor float64) string {
	if got.Rows != want.Rows || got.Cols != want.Cols {
		return fmt.Sprintf(" is %d x %d, want %d x %d", got.Rows, got.Cols, want.Rows, want.Cols)
	}
	for i, value := range got.Values {
		w := factor * want.Values[i]
		if cmp.Compare(value, w) == 0 { // infinities and NaN too
			continue
		}
		if math.IsInf(w, 0) || !(math.Abs(value-w) <= max(c.Absolute, c.Relative*math.Abs(w))) {
			at := ""
			if len(got.Values) > 1 {
				at = fmt.Sprintf(" at (%d, %d)", i/got.Cols, i%got.Cols)
			}
			return fmt.Sprintf(" is %.17g%s, want %.17g", value, at, w)
		}
	}
	return ""
}
