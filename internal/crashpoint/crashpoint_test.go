package crashpoint

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var first, second = Define("test.second"), Define("test.first")

// TestMain is also the program that crashes: asked by the environment it visits both points twice and says so.
func TestMain(m *testing.M) {
	if os.Getenv("CRASHPOINT_CHILD") == "" {
		os.Exit(m.Run())
	}
	for range 2 {
		for _, p := range []Point{first, second} {
			Here(p)
			os.Stdout.WriteString(string(p) + "\n")
		}
	}
}

func TestHere(t *testing.T) {
	all := "test.second test.first test.second test.first"
	for _, c := range []struct{ at, want string }{
		{"", all},
		{"test.unknown", all},
		{"test.second", ""},
		{"test.first", "test.second"},
		{"test.second:2", "test.second test.first"},
		{"test.first:2", "test.second test.first test.second"},
		{"test.first:3", all},
	} {
		t.Run(c.at, func(t *testing.T) {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), "CRASHPOINT_CHILD=1", Variable+"="+c.at)
			output, err := child.Output()
			if got := strings.Join(strings.Fields(string(output)), " "); got != c.want {
				t.Errorf("it came by %q, want %q", got, c.want)
			}
			var exit *exec.ExitError
			killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
			if killed != (c.want != all) {
				t.Errorf("killed: %v (%v)", killed, err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	if got := Names(); !slices.Equal(got, []string{"test.first", "test.second"}) {
		t.Errorf("names %v", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("the same name twice is taken")
		}
	}()
	Define("test.first")
}
