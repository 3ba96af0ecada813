package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/internal/toolchain"
)

// TestExampleDiagnostics builds the modules in examples/diagnostics, each in its language, and holds each against the conformance tests
// and its own cases.
func TestExampleDiagnostics(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles guests")
	}
	root := toolchain.Root(t)
	for _, c := range []struct {
		name, sdk string
		compiler  func(t *testing.T) string // as a variable of make
		native    []string                  // targets of its Makefile that test the logic outside of WebAssembly
	}{
		{"watermark", "diag", func(*testing.T) string { return "GO=go" }, nil}, // its native tests are Go's
		{"head-balance", "c", func(t *testing.T) string { return "CLANG=" + toolchain.Clang(t) }, []string{"native"}},
		{"forbidden-layers", "rust", func(t *testing.T) string { return "RUSTC=" + toolchain.Rustc(t) }, []string{"test"}},
		{"norm-budget", "assemblyscript", func(t *testing.T) string { return "ASC=" + toolchain.AssemblyScript(t) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			source, dir := filepath.Join(root, "examples", "diagnostics", c.name), t.TempDir()
			compiler, wasm := c.compiler(t), filepath.Join(dir, c.name+".wasm")
			toolchain.Watch(t, filepath.Join(root, "sdk", c.sdk))
			toolchain.Make(t, source, compiler, "OUT="+wasm)
			for _, file := range []string{c.name + ".json", c.name + ".cases.json"} {
				text, err := os.ReadFile(filepath.Join(source, file))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, file), text, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			var stdout, stderr bytes.Buffer
			if code := run([]string{"--cache-dir", filepath.Join(dir, "cache"), "module", "test", wasm}, &stdout, &stderr); code != 0 {
				t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
			}
			if _, err := exec.LookPath("cc"); err != nil && c.sdk == "c" {
				t.Skipf("the native test needs a C compiler: %v", err)
			}
			for _, target := range c.native {
				toolchain.Make(t, source, compiler, "OUT="+filepath.Join(dir, "native"), target)
			}
		})
	}
}

// TestRustSDK runs the unit tests of the Rust SDK.
func TestRustSDK(t *testing.T) {
	toolchain.Make(t, filepath.Join(toolchain.Root(t), "sdk", "rust"), "RUSTC="+toolchain.Rustc(t), "OUT="+filepath.Join(t.TempDir(), "tests"), "test")
}
