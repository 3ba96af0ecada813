package modules

import (
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// The bits of a result do not depend on how many processors compute it, nor on the run.
func TestSameBitsOnAnyNumberOfProcessors(t *testing.T) {
	needTinyLlama(t)
	base := readWeights(t, filepath.Join(tinyLlama, "base", "model.safetensors"))
	input := sandbox.Input{Targets: readTargets(t, base, "e2e-qv-r64-s0")}
	runner := newRunner(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var want sandbox.Result
	for i, processors := range []int{1, 2, 2} {
		runtime.GOMAXPROCS(processors)
		got := runner.run(t, "spectrum", input)
		if i == 0 {
			want = got
		}
		if len(got.Metrics) == 0 || !slices.Equal(got.Metrics, want.Metrics) || !slices.Equal(got.Findings, want.Findings) {
			t.Errorf("run %d, with %d processors, gives something else", i, processors)
		}
	}
}
