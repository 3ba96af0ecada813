// Package sweep lays several adapters of different ranks side by side, one row for each: what their changes look like, next to what random
// directions give, and how well they do on an evaluation. It says which is the smallest rank that does as well as the best, and whether the
// runs at hand can tell that at all. Nothing is smoothed, and no number is made up for a run that is not there.
package sweep

import (
	"cmp"
	_ "embed"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
)

//go:embed policy.yaml
var policyYAML []byte

// Policy is the policy that the adapters of a sweep are checked with: the modules whose numbers a sweep shows.
func Policy() *gate.Policy { return parsePolicy() }

var parsePolicy = sync.OnceValue(func() *gate.Policy {
	p, err := gate.ParsePolicy("the policy of a sweep", policyYAML)
	if err != nil {
		panic(fmt.Sprintf("the embedded policy does not load: %v", err))
	}
	return p
})

// Measure is a metric of each weight that a sweep shows as its median over the layers.
type Measure struct{ Metric, Title string }

// Measures are what a sweep shows, in order. The amplification never stands without what random directions give at the same rank, because
// that falls with the rank too.
func Measures() []Measure {
	return []Measure{
		{"norm_ratio", "‖ΔW‖/‖W‖"}, {"amplification", "amplif."}, {"amplification_random", "random"}, {"alignment_lift", "lift"},
		{"effective_rank", "eff. rank"},
	}
}

// Run is one adapter of a sweep.
type Run struct {
	Name       string             `json:"name"` // the last part of its reference, or all of it where another has the same
	Ref        string             `json:"ref"`
	Digest     string             `json:"digest"`
	Rank       int                `json:"rank"`           // the largest
	Ranks      []int              `json:"ranks,omitzero"` // where there are several
	Kinds      []Kind             `json:"kinds"`          // in the order of their first weight
	Evaluation map[string]float64 `json:"evaluation"`
}

// Kind is the numbers of all weights of one kind, such as all q_proj.
type Kind struct {
	Name    string                   `json:"name"`
	Label   string                   `json:"label"` // as few of the last parts of the name as tell it from the others
	Weights int                      `json:"weights"`
	Medians map[string]report.Number `json:"medians"` // by metric; none where it is not defined for any weight
}

// Sweep is several adapters on one base, by rank and name.
type Sweep struct {
	Base    report.Base
	Runs    []Run
	Columns []string // of the evaluation, of at least one run: known metrics first, then by name
}

// New makes a sweep of the reports on its adapters, which are on one base, and of an evaluation, which may be nil. The same adapter twice is
// refused, because it would look like two runs that agree.
func New(reports []*report.Report, evaluation *Evaluation) (*Sweep, error) {
	s := &Sweep{}
	labels := kindLabels(reports)
	seen := map[string]string{}
	for _, r := range reports {
		if first, twice := seen[r.Adapter.Digest]; twice {
			return nil, fault.New(fault.UsageFlag, "it is the same adapter as %s", first).In(r.Adapter.Ref).Fix("give each adapter once")
		}
		seen[r.Adapter.Digest] = r.Adapter.Ref
		run := Run{Name: name(r.Adapter.Ref), Ref: r.Adapter.Ref, Digest: r.Adapter.Digest, Kinds: kinds(r, labels), Evaluation: map[string]float64{}}
		run.Rank = slices.Max(append(slices.Clone(r.Adapter.Rank), 0))
		if len(r.Adapter.Rank) > 1 {
			run.Ranks = r.Adapter.Rank
		}
		s.Base = r.Base
		s.Runs = append(s.Runs, run)
	}
	slices.SortStableFunc(s.Runs, func(a, b Run) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Name, b.Name)) })
	times := map[string]int{}
	for _, run := range s.Runs {
		times[run.Name]++
	}
	for i := range s.Runs {
		if run := &s.Runs[i]; times[run.Name] > 1 {
			run.Name = run.Ref
		}
	}
	if evaluation != nil {
		if err := evaluation.apply(s.Runs); err != nil {
			return nil, err
		}
	}
	for _, run := range s.Runs {
		for column := range run.Evaluation {
			if !slices.Contains(s.Columns, column) {
				s.Columns = append(s.Columns, column)
			}
		}
	}
	slices.SortFunc(s.Columns, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b)) })
	return s, nil
}

// name is what people call an adapter: the last part of its reference.
func name(ref string) string { return path.Base(strings.TrimRight(ref, "/")) }

// ranks are the ranks of the runs, ascending.
func (s *Sweep) ranks() []int {
	var ranks []int
	for _, run := range s.Runs {
		ranks = append(ranks, run.Rank)
	}
	return slices.Compact(ranks)
}

// kindNames are the kinds of all runs, in the order in which they are met.
func (s *Sweep) kindNames() []string {
	var names []string
	for _, run := range s.Runs {
		for _, k := range run.Kinds {
			if !slices.Contains(names, k.Name) {
				names = append(names, k.Name)
			}
		}
	}
	return names
}

// kind is a run's numbers of a kind, nil where it adapts none of it.
func (r *Run) kind(name string) *Kind {
	if i := slices.IndexFunc(r.Kinds, func(k Kind) bool { return k.Name == name }); i >= 0 {
		return &r.Kinds[i]
	}
	return nil
}

// kindLabels calls the kinds of all reports by labels that tell them apart.
func kindLabels(reports []*report.Report) map[string]string {
	var names []string
	for _, r := range reports {
		for _, m := range r.Metrics {
			if k := report.Kind(m.Target); shown(m) && !slices.Contains(names, k) {
				names = append(names, k)
			}
		}
	}
	labels := map[string]string{}
	for i, label := range report.KindLabels(names) {
		labels[names[i]] = label
	}
	return labels
}

// shown reports whether a metric is one of Measures, about one weight.
func shown(m report.Metric) bool {
	return m.With == "" && m.Target != "" && slices.ContainsFunc(Measures(), func(measure Measure) bool { return measure.Metric == m.Name })
}

// kinds are the medians of a report over the weights of each kind. Values that are not numbers do not count.
func kinds(r *report.Report, labels map[string]string) []Kind {
	var kinds []Kind
	values, weights := map[string]map[string][]float64{}, map[string]map[string]bool{}
	for _, m := range r.Metrics {
		if !shown(m) {
			continue
		}
		k := report.Kind(m.Target)
		if values[k] == nil {
			values[k], weights[k] = map[string][]float64{}, map[string]bool{}
			kinds = append(kinds, Kind{Name: k, Label: labels[k], Medians: map[string]report.Number{}})
		}
		weights[k][m.Target] = true
		if v := float64(m.Value); !math.IsNaN(v) {
			values[k][m.Name] = append(values[k][m.Name], v)
		}
	}
	for i := range kinds {
		k := &kinds[i]
		k.Weights = len(weights[k.Name])
		for metric, all := range values[k.Name] {
			k.Medians[metric] = report.Number(median(all))
		}
	}
	return kinds
}

// median of at least one value; the mean of the middle two where their number is even.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return values[n/2-1]/2 + values[n/2]/2
}
