package modules

import (
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// The bits of every module's result do not depend on how many processors compute it, nor on the run.
func TestSameBitsOnAnyNumberOfProcessors(t *testing.T) {
	needTinyLlama(t)
	base := readWeights(t, filepath.Join(tinyLlama, "base", "model.safetensors"))
	targets := readTargets(t, base, "e2e-qv-r64-s0")[:4]
	for i := range targets {
		targets[i].BaseSVD = decompose(t, targets[i])
	}
	input := sandbox.Input{
		Targets: targets, Peers: []sandbox.Peer{alignedPeer("e2e-all-r8", targets, readTargets(t, base, "e2e-all-r8"))},
		Bank: &sandbox.Bank{Features: make([]sandbox.Matrix, 1+len(targets))}, // an empty one makes anomaly speak
	}
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	runner := newRunner(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	want := map[string]sandbox.Result{}
	for i, processors := range []int{1, 2, 2} {
		runtime.GOMAXPROCS(processors)
		for _, module := range all {
			id := module.Manifest.ID
			got := runner.run(t, id, input)
			if i == 0 {
				want[id] = got
			}
			if len(got.Metrics)+len(got.Grids) == 0 && id != "hygiene" && id != "outliers" { // the one gives findings, the other wants more layers
				t.Errorf("%s says nothing that could differ", id)
			}
			if !sameBits(got, want[id]) {
				t.Errorf("run %d of %s, with %d processors, gives something else", i, id, processors)
			}
		}
	}
}

// sameBits compares everything but what the runs cost.
func sameBits(a, b sandbox.Result) bool {
	equal := func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) }
	return slices.EqualFunc(a.Metrics, b.Metrics, func(x, y sandbox.Metric) bool {
		return x.Target == y.Target && x.Peer == y.Peer && x.Name == y.Name && equal(x.Value, y.Value)
	}) && slices.EqualFunc(a.Grids, b.Grids, func(x, y sandbox.Grid) bool {
		return x.Target == y.Target && x.Peer == y.Peer && x.Name == y.Name && x.Cols == y.Cols && slices.EqualFunc(x.Values, y.Values, equal)
	}) && slices.EqualFunc(a.Findings, b.Findings, func(x, y sandbox.Finding) bool {
		return x.Target == y.Target && x.Severity == y.Severity && x.Code == y.Code && x.Message == y.Message && x.Hint == y.Hint &&
			equal(x.Value, y.Value) && equal(x.Limit, y.Limit)
	})
}
