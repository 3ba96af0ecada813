package hostile

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tenon-ml/tenon/wasm/worker"
)

func TestMain(m *testing.M) {
	if worker.Invoked() {
		worker.Main()
	}
	goleak.VerifyTestMain(m)
}

// executable is the worker of these tests: this binary, or what the Makefile gives where this one is built for the race detector.
var executable = os.Getenv("TENON_TEST_WORKER")
