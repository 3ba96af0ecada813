// Package diagtest runs a diagnostic natively, against a fake host made of plain Go, so that its logic can be tested and debugged like any
// other code:
//
//	func TestDiagnose(t *testing.T) {
//		report := diagtest.Run(t, diagtest.Adapter{Targets: []diagtest.Target{{
//			Name: "layers.0.q_proj.weight", Scale: 2,
//			A: diagtest.Rows([]float64{1, 0}), B: diagtest.Rows([]float64{0}, []float64{0}),
//		}}}, diagnose)
//		if value, ok := report.Metric("layers.0.q_proj.weight", "", "rank"); !ok || value != 0 {
//			t.Errorf("rank is %g, %t", value, ok)
//		}
//	}
//
// Numbers that nobody knows can be tested too, by what must become of them when the adapter is written differently: Invariant runs the
// diagnostic on an adapter and on each Rewriting of it (SameChange is the list of those that change nothing but the writing) and holds the
// reports against each other as a Comparison says:
//
//	func TestInvariance(t *testing.T) {
//		adapter := diagtest.Configured(t, "my-module.json", diagtest.Adapter{Targets: targets})
//		diagtest.Invariant(t, adapter, diagnose, diagtest.Comparison{Relative: 1e-9}, diagtest.SameChange()...)
//		larger := diagtest.Comparison{Relative: 1e-9, Factors: map[string]float64{"my_norm": 3}}
//		diagtest.Invariant(t, adapter, diagnose, larger, diagtest.Rescale(3))
//	}
//
// The fake computes the plainest way, in f64: for matrices of a few hundred rows, not of a real model. It takes the capabilities as given
// in Adapter.Grants; it has the default limits on output and none on time or memory.
package diagtest

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// Adapter is what a diagnostic is run on.
type Adapter struct {
	Targets []Target // in any order; the diagnostic sees them by name
	Peers   []Peer
	Bank    *Bank // nil where the operator gave none
	Attrs   map[string]string
	Params  map[string]float64
	Grants  []abi.Capability // nil grants every capability
}

// Target is one adapted weight, delta W = Scale * B A.
type Target struct {
	Name        string
	A, B        Matrix // r x in, out x r
	Base        Matrix // out x in, or the zero Matrix for none
	Scale       float64
	Alpha       float64
	FanInFanOut bool
	RsLoRA      bool
	BaseDType   abi.DType // 0 is F32
	FactorDType abi.DType // 0 is F32
}

// Peer is another adapter, to compare with. Its targets are matched by name; their Base is not looked at.
type Peer struct {
	Name    string // its digest
	Targets []Target
}

// Bank is what the operator's bank holds of the diagnostic: the row of numbers it reported as its grid "features" for each of the adapters
// named. A nil row, or a table that is shorter than Names, stands for an adapter that has none.
type Bank struct {
	Names   []string               // digests
	Adapter [][]float64            // for the adapter as a whole
	Targets map[string][][]float64 // by the target's name
}

// Report is everything the diagnostic gave, in the order it gave it.
type Report struct {
	Err      error // what the diagnostic returned, or the failure its Run kept; the host would see code 1
	Metrics  []Metric
	Grids    []Grid
	Findings []Finding
	Log      string // lines
}

// Metric is one number. Target and Peer are names, empty for the adapter as a whole.
type Metric struct {
	Target, Peer string
	Name         string
	Value        float64
}

// Grid is a matrix of numbers.
type Grid struct {
	Target, Peer string
	Name         string
	Matrix
}

// Finding is what the diagnostic noticed.
type Finding struct {
	Target        string
	Severity      abi.Severity
	Code          string
	Message, Hint string
	Value, Limit  float64
}

// Metric finds a number; false when it was not given.
func (r *Report) Metric(target, peer, name string) (float64, bool) {
	for _, m := range r.Metrics {
		if m.Target == target && m.Peer == peer && m.Name == name {
			return m.Value, true
		}
	}
	return 0, false
}

// Grid finds a grid; false when it was not given.
func (r *Report) Grid(target, peer, name string) (Matrix, bool) {
	for _, g := range r.Grids {
		if g.Target == target && g.Peer == peer && g.Name == name {
			return g.Matrix, true
		}
	}
	return Matrix{}, false
}

// Codes gives the findings as "CODE target", or "CODE" for the adapter as a whole, in order.
func (r *Report) Codes() []string {
	var codes []string
	for _, f := range r.Findings {
		codes = append(codes, strings.TrimSpace(f.Code+" "+f.Target))
	}
	return codes
}

// running serialises the runs of a test binary: the imports of a process lead to one host.
var running sync.Mutex

// Run runs diagnose on adapter. It fails the test where the real host would end the guest: bad text, or a name outside the grammar of its
// kind. What diagnose returns is in the report.
func Run(t testing.TB, adapter Adapter, diagnose func(*diag.Run) error) *Report {
	t.Helper()
	fake, err := newFake(t, adapter)
	if err != nil {
		t.Fatal(err)
	}
	running.Lock()
	defer running.Unlock()
	host.Installed = fake
	defer func() { host.Installed = nil }()
	fake.report.Err = diag.Call(diagnose)
	return &fake.report
}

func sorted(targets []Target) []Target {
	targets = slices.Clone(targets)
	slices.SortStableFunc(targets, func(a, b Target) int { return cmp.Compare(a.Name, b.Name) })
	return targets
}
