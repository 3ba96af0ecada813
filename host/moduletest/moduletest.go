// Package moduletest is the author's side of a diagnostic: it runs a module on the cases that lie beside it in NAME.cases.json, and on the
// conformance kit, which every module must pass whatever it computes. Both run it as the gate would, in a worker process.
package moduletest

import (
	"context"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// Runner runs one module on one input and always gives a result.
type Runner interface {
	Run(ctx context.Context, job worker.Job) (sandbox.Result, string)
}

var _ Runner = (*worker.Runner)(nil)

// Adapter is an adapter written down in numbers.
type Adapter struct {
	Targets []Target // sorted by Name
	Peers   []Peer
}

// Target is one adapted weight, delta W = Scale * B A.
type Target struct {
	Name        string
	A, B        Matrix // rank x in, out x rank
	Base        Matrix // out x in, as a guest sees it; the zero Matrix where there is none
	Scale       float64
	Alpha       float64
	FanInFanOut bool
	RsLoRA      bool
	BaseDType   tensor.DType
	FactorDType tensor.DType
}

// Peer is another adapter. Its targets are matched with the adapter's by name; their Base is not looked at.
type Peer struct {
	Name    string
	Targets []Target
}

// Matrix is row-major, Rows times Cols values.
type Matrix struct {
	Rows, Cols int
	Values     []float64
}

// given reports whether there is a matrix at all.
func (m Matrix) given() bool { return m.Values != nil }

// Outcome is what became of one case, or of one part of the conformance kit.
type Outcome struct {
	Name     string
	Skipped  string    // why it was not run
	Problems []Problem // none: it passed
}

// Problem is what a module did that it should not, on which input, and what to change.
type Problem struct {
	What string
	Fix  string   // "" where the author knows best
	Log  []string // the first lines that the module logged, where it crashed or gave up
}

// Passed reports whether nothing was wrong.
func (o Outcome) Passed() bool { return len(o.Problems) == 0 }

func (o *Outcome) wrong(what, fix string) {
	o.Problems = append(o.Problems, Problem{What: what, Fix: fix})
}

// defaults are the parameters of a manifest, with the values of set in place of theirs.
func defaults(m abi.Manifest, set map[string]float64) map[string]float64 {
	params := map[string]float64{}
	for name, p := range m.Params {
		params[name] = p.Default
	}
	for name, value := range set {
		params[name] = value
	}
	return params
}
