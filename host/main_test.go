package host

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/plugins/cpu"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// cacheDir is shared by the tests of this package, so that the guests are compiled once.
var cacheDir string

func TestMain(m *testing.M) {
	switch {
	case worker.Invoked():
		worker.Main()
	case os.Args[0] == backend.CPUArgv0:
		cpu.Main(cpu.Options{})
		os.Exit(0)
	case os.Getenv(storyVariable) != "":
		if err := story(os.Getenv(storyVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "tenon-host-test-")
	if err != nil {
		panic(err)
	}
	cacheDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// shared is a path in the folder of models and golden values beside the repository; the test is skipped where it is absent.
func shared(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join("..", "..", "shared", path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(full); err != nil {
		t.Skipf("no golden values here: %v", err)
	}
	return full
}

// raceRun tells that the Makefile runs these tests under the race detector, which makes the backend twenty times slower, and gives an ordinary
// build of tenon to be the sandbox worker.
var raceRun = os.Getenv("TENON_TEST_WORKER") != ""

func newHost(t *testing.T, o Options) *Host {
	t.Helper()
	if o.CacheDir == "" {
		o.CacheDir = cacheDir
	}
	if raceRun && o.Runner == nil {
		o.Runner = &worker.Runner{Executable: os.Getenv("TENON_TEST_WORKER"), CacheDir: filepath.Join(o.CacheDir, "wasm")}
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
