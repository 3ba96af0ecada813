package gate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/wasm/worker"
)

// cacheDir holds what the sandboxes of these tests compile.
var cacheDir string

// TestMain lets the test binary be the sandbox worker of its own tests.
func TestMain(m *testing.M) {
	if worker.Invoked() {
		worker.Main()
	}
	dir, err := os.MkdirTemp("", "tenon-gate-test-")
	if err != nil {
		panic(err)
	}
	cacheDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// sandboxed runs guests as the product does. A test binary with the race detector is no worker: the Makefile gives another executable then.
func sandboxed() Runner {
	return &worker.Runner{Executable: os.Getenv("TENON_TEST_WORKER"), CacheDir: filepath.Join(cacheDir, "wasm")}
}
