package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/plugins/cpu"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// TestMain lets the test binary be what the scripts call: tenon itself, and what tenon executes itself as.
func TestMain(m *testing.M) {
	switch {
	case worker.Invoked():
		worker.Main()
	case os.Args[0] == backend.CPUArgv0:
		cpu.Main(cpu.Options{})
		return
	}
	testscript.Main(m, map[string]func(){
		"tenon": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
		"flip":  flip,
	})
}

// flip changes one bit of a file: flip FILE OFFSET.
func flip() {
	var offset int64
	if len(os.Args) != 3 {
		panic("usage: flip FILE OFFSET")
	}
	if _, err := fmt.Sscan(os.Args[2], &offset); err != nil {
		panic(err)
	}
	f, err := os.OpenFile(os.Args[1], os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, offset); err != nil {
		panic(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b, offset); err != nil {
		panic(err)
	}
}

// exits runs a command and wants this exit code: exits CODE COMMAND ARGS...
func exits(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if want := args[0]; fmt.Sprint(code) != want {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

// TestScripts runs the command line as people do: testdata/script, one story a file. The scripts share a cache, so that the built-in
// diagnostics are compiled once.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	sharedDir := filepath.Join(root, "..", "shared")
	_, sharedErr := os.Stat(sharedDir)
	if sharedErr != nil {
		t.Logf("no models beside the repository, scripts that need them are skipped: %v", sharedErr)
	}
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("RESTAURANT", filepath.Join(root, "examples", "restaurant"))
			env.Setenv("SHARED", sharedDir)
			env.Setenv("TENON_CACHE_DIR", cache)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		Condition: func(condition string) (bool, error) {
			if condition == "shared" {
				return sharedErr == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
	})
}
