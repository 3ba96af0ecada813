package stress

import (
	"os"
	"testing"

	"github.com/tenon-ml/tenon/wasm/worker"
)

// TestMain lets the test binary be the sandbox worker of its own tests.
func TestMain(m *testing.M) {
	if worker.Invoked() {
		worker.Main()
	}
	os.Exit(m.Run())
}
