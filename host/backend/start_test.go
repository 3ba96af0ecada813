package backend

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestBackendsThatDoNotStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	command := func(path string) Spec { return Spec{Name: "test", Command: []string{path}} }
	for _, c := range []struct {
		name string
		spec Spec
		want []string // parts of the message
	}{
		{"garbage before the handshake", self("garbage"), []string{".[31mhello, I am no backend", "and this is why", "status 0"}},
		{"wrong protocol version", self("protocol"), []string{"Plugin version: 99, Client versions: [1]"}},
		{"wrong transport", self("net/rpc"), []string{"netrpc"}},
		{"address where nobody listens", self("address"), []string{"health check"}},
		{"wrong magic cookie", self("cookie"), []string{"This binary is a plugin", "exit status 1"}},
		{"exits 0 at once", self("nothing at all"), []string{"status 0"}},
		{"exits with words", self("exit 7"), []string{"exit status 7", "no device"}},
		{"says nothing", self("silent"), []string{"no handshake within"}},
		{"no executable", command(filepath.Join(dir, "gone")), []string{"no such file"}},
		{"directory", command(dir), []string{"no regular file"}},
		{"no permission to run it", command(write("plain", "#!/bin/sh\n", 0o644)), []string{"permission denied"}},
		{"everyone may write to it", command(write("open", "#!/bin/sh\n", 0o757)), []string{"written to by everyone"}},
		{"pipe that nobody writes to", command(pipe(t, dir)), []string{"no regular file"}},
		{"no format of an executable", command(write("text", "hello", 0o755)), []string{"exec format error"}},
		{"script that says nothing", command(write("script", "#!/bin/sh\necho sorry >&2\nexit 3\n", 0o755)), []string{"sorry", "exit status 3"}},
		{"no command", Spec{Name: "test"}, []string{"no command"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			options := Options{StartTimeout: 30 * time.Second}
			if c.name == "says nothing" {
				options.StartTimeout = 300 * time.Millisecond
			}
			s, err := Start(t.Context(), c.spec, options)
			if err == nil {
				s.Stop(t.Context())
				t.Fatal("it started")
			}
			if !isDown(err) {
				t.Errorf("%#v is no fault of code %s", err, fault.BackendDown)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if strings.ContainsRune(err.Error(), '\x1b') {
				t.Errorf("control characters in: %q", err)
			}
		})
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, self("silent"), Options{}); !isDown(err) {
		t.Errorf("Start: %v", err)
	}
}

// TestBackendsDieWithTheirHost kills a host that has no chance to clean up.
func TestBackendsDieWithTheirHost(t *testing.T) {
	host := exec.Command("/proc/self/exe")
	host.Env = append(os.Environ(), roleVariable+"=host")
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Skipf("cannot run the test binary: %v", err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = host.Wait()
	for running(pid) {
		time.Sleep(5 * time.Millisecond) // the test's own deadline ends it
	}
	// What the host could not remove is removed by the next start.
	start(t, self("good"), Options{})
}

// running reports whether a process exists and is no zombie: nobody may be there to wait for an orphan.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// TestPinnedExecutable: the pinned bytes run, others and scripts do not.
func TestPinnedExecutable(t *testing.T) {
	dir := t.TempDir()
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skipf("cannot read the test binary: %v", err)
	}
	put := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	script := []byte("#!/bin/sh\nexit 0\n")
	whole, text := sha256.Sum256(binary), sha256.Sum256(script)
	for _, c := range []struct {
		name, path string
		digest     []byte
		want       string // of the message; "" starts
	}{
		{"the pinned bytes", put("right", binary), whole[:], ""},
		{"one byte more", put("longer", append(slices.Clone(binary), 0)), whole[:], "is not the one it is pinned to"},
		{"a script", put("script", script), text[:], "is a script"},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := self("good")
			spec.Command, spec.SHA256 = []string{c.path}, c.digest
			s, err := Start(t.Context(), spec, Options{})
			if s != nil {
				s.Stop(t.Context())
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Start: %v, want %q", err, c.want)
			}
		})
	}
}

// pipe makes a named pipe in dir.
func pipe(t *testing.T, dir string) string {
	path := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
