package toolchain

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// With nothing on PATH every language is skipped with a reason, or fails where toolchains are needed.
func TestMissingToolchains(t *testing.T) {
	finders := map[string]func(testing.TB) string{"clang": Clang, "rustc": Rustc, "asc": AssemblyScript}
	for name, find := range finders {
		for _, needed := range []string{"", "1"} {
			t.Run(name+needed, func(t *testing.T) {
				t.Setenv("PATH", t.TempDir())
				t.Setenv("TENON_NEED_TOOLCHAINS", needed)
				for _, variable := range []string{"CLANG", "RUSTC", "ASC"} {
					t.Setenv(variable, "")
				}
				if name == "rustc" {
					if _, err := os.Stat("/usr/bin/rustc"); err == nil {
						t.Skip("skipped: Debian's rustc is found without PATH")
					}
				}
				fake := &recorder{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					find(fake)
				}()
				<-done
				if want := needed != ""; fake.skipped == want || fake.failed != want {
					t.Errorf("skipped %t, failed %t", fake.skipped, fake.failed)
				}
			})
		}
	}
}

func TestRootHasTheModule(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Root(t), "internal", "toolchain")); err != nil {
		t.Error(err)
	}
}

// recorder stands in for a test that is skipped or fails.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(string, ...any) {
	r.skipped = true
	exit()
}

func (r *recorder) Fatalf(string, ...any) {
	r.failed = true
	exit()
}

// exit ends the goroutine, as the real Skipf and Fatalf do.
func exit() { runtime.Goexit() }
