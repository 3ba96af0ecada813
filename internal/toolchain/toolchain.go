// Package toolchain finds the compilers that tests build guests with in languages other than Go. A machine without one skips that
// language's tests and says why; with TENON_NEED_TOOLCHAINS set, as in CI, it fails them.
package toolchain

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Clang gives a C compiler that has WebAssembly as a target: $CLANG, or the clang on PATH. There must be a wasm-ld on PATH beside it.
func Clang(t testing.TB) string {
	t.Helper()
	clang, err := exec.LookPath(cmp.Or(os.Getenv("CLANG"), "clang"))
	if err != nil {
		missing(t, "C guests need clang (Debian: clang lld wasi-libc): %v", err)
	}
	if _, err := exec.LookPath("wasm-ld"); err != nil {
		missing(t, "C guests need wasm-ld beside clang (Debian: lld): %v", err)
	}
	if out, err := exec.Command(clang, "--print-targets").Output(); err != nil || !strings.Contains(string(out), "wasm32") {
		missing(t, "%s cannot compile to wasm32: %v", clang, err)
	}
	return clang
}

// Rustc gives a Rust compiler that has the standard library for wasm32-unknown-unknown: $RUSTC, the one on PATH, or Debian's, which a rustup
// without that target may hide.
func Rustc(t testing.TB) string {
	t.Helper()
	var tried []string
	for _, name := range []string{os.Getenv("RUSTC"), "rustc", "/usr/bin/rustc"} {
		if name == "" {
			continue
		}
		rustc, err := exec.LookPath(name)
		if err != nil {
			tried = append(tried, err.Error())
			continue
		}
		root, err := exec.Command(rustc, "--print", "sysroot").Output()
		if err != nil {
			tried = append(tried, rustc+": "+err.Error())
			continue
		}
		target := filepath.Join(strings.TrimSpace(string(root)), "lib", "rustlib", "wasm32-unknown-unknown", "lib")
		if _, err := os.Stat(target); err == nil {
			return rustc
		}
		tried = append(tried, rustc+" has no "+target)
	}
	missing(t, "Rust guests need a rustc with wasm32-unknown-unknown (Debian: rustc libstd-rust-dev-wasm32): %s", strings.Join(tried, "; "))
	return ""
}

// AssemblyScript gives the compiler asc: $ASC, the one on PATH, or the one that npm put into sdk/assemblyscript/node_modules.
func AssemblyScript(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "AssemblyScript guests need node (Debian: nodejs npm): %v", err)
	}
	local := filepath.Join(Root(t), "sdk", "assemblyscript", "node_modules", ".bin", "asc")
	for _, name := range []string{os.Getenv("ASC"), "asc", local} {
		if name == "" {
			continue
		}
		if asc, err := exec.LookPath(name); err == nil {
			return asc
		}
	}
	missing(t, "AssemblyScript guests need asc: not in $ASC, not on PATH, not at %s (npm ci in sdk/assemblyscript installs it)", local)
	return ""
}

// Root gives the repository's folder: the one with go.mod, at or above the working directory.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod here or above: this test runs inside the repository")
		}
		dir = filepath.Dir(dir)
	}
}

// Make runs make for the default target of a folder, with variables such as "OUT=/tmp/x.wasm". A result of the test that was kept is good
// for as long as no file in that folder, nor in those that Watch is given, changes.
func Make(t testing.TB, dir string, variables ...string) {
	t.Helper()
	Watch(t, dir)
	if _, err := exec.LookPath("make"); err != nil {
		missing(t, "building the guest in %s needs make: %v", dir, err)
	}
	command := exec.Command("make", append([]string{"--no-print-directory", "-C", dir}, variables...)...)
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { // of the make that runs the tests
		name, _, _ := strings.Cut(variable, "=")
		return name == "MAKEFLAGS" || name == "MFLAGS" || name == "MAKELEVEL" || name == "MAKEOVERRIDES"
	})
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("make -C %s %s: %v\n%s", dir, strings.Join(variables, " "), err, out)
	}
}

// Watch looks at every file below the folders, so that go test, which knows what a test looks at but not what a compiler reads, does not
// give a kept result after one of them changed.
func Watch(t testing.TB, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == "target"):
				return filepath.SkipDir
			}
			_, _ = os.Stat(path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("TENON_NEED_TOOLCHAINS") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf("skipped: "+format, args...)
}
