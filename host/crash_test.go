package host

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/internal/crashpoint"
)

// storyVariable makes this executable live the story of TestCrash with the data directory and the adapters that it names.
const storyVariable = "TENON_TEST_STORY"

// story loads, loads again, goes back and unloads, and acknowledges each step with what x means then.
func story(args string) error {
	words := strings.Split(args, ":")
	policy, err := gate.ParsePolicy("fast.yaml", []byte(fastPolicy))
	if err != nil {
		return err
	}
	h, err := New(Options{CacheDir: words[1], Policy: policy})
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := h.ServeWith(ctx, ServeOptions{Data: words[0], Base: filepath.Join(restaurant, "base"), Name: "base"})
	if err != nil {
		return err
	}
	for _, ref := range words[2:] {
		loaded, err := s.Load(ctx, server.Load{Alias: "x", Ref: ref})
		if err != nil {
			return err
		}
		fmt.Println(loaded.Model.Generation)
	}
	back, err := s.Rollback(ctx, "x", "")
	if err != nil {
		return err
	}
	fmt.Println(back.Generation)
	if err := s.Unload(ctx, "x"); err != nil {
		return err
	}
	fmt.Println("nothing")
	return s.Stop(ctx)
}

// TestCrash ends the host at every point of every change. What is on the disk afterwards is what was acknowledged last, or what would have been
// next; the audit holds together, and a new host goes on from there.
func TestCrash(t *testing.T) {
	first, other := filepath.Join(restaurant, "adapter"), otherAdapter(t)
	generation := map[string]string{}
	b := openBase(t, filepath.Join(restaurant, "base"))
	for _, ref := range []string{first, other} {
		checked, err := newHost(t, Options{}).bind(t.Context(), b, ref, 1)
		if err != nil {
			t.Fatal(err)
		}
		generation[ref] = merge.DigestString(checked.Plan.Digest)
		if err := checked.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// What x means at first, and after each step.
	meanings := []string{"nothing", generation[first], generation[other], generation[first], "nothing"}
	points := []string{}
	for _, name := range crashpoint.Names() {
		for _, action := range []string{"activate.", "rollback.", "unload."} {
			if strings.HasPrefix(name, action) {
				points = append(points, name)
			}
		}
		if strings.HasPrefix(name, "activate.") {
			points = append(points, name+":2")
		}
	}
	if len(points) < 6*2+4+3 {
		t.Fatalf("only %d points: %q", len(points), points)
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), crashpoint.Variable+"="+point, storyVariable+"="+strings.Join([]string{dir, cacheDir, first, other}, ":"))
			child.Stderr = os.Stderr
			out, err := child.Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("it ended with %v, want it killed; it said %q", err, out)
			}
			acknowledged := 0
			for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); acknowledged++ {
				if lines.Text() != meanings[acknowledged+1] {
					t.Fatalf("step %d was acknowledged as %s, want %s", acknowledged, lines.Text(), meanings[acknowledged+1])
				}
			}
			kept, err := registry.Open(t.Context(), registry.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if report, err := kept.VerifyAudit(t.Context()); err != nil || !report.Intact {
				t.Errorf("the audit: %+v, %v", report, err)
			}
			live, err := kept.Live(t.Context(), b.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if err := kept.Close(); err != nil {
				t.Fatal(err)
			}
			meaning := "nothing"
			if len(live) == 1 {
				meaning = "sha256:" + hex.EncodeToString(live[0].Generation[:])
			}
			if meaning != meanings[acknowledged] && meaning != meanings[acknowledged+1] {
				t.Errorf("x means %s; acknowledged was %s, and next is %s", meaning, meanings[acknowledged], meanings[acknowledged+1])
			}
			committed := !strings.Contains(point, "staged") && !strings.Contains(point, "kept") && !strings.Contains(point, "decided")
			if want := meanings[acknowledged+1]; committed && meaning != want {
				t.Errorf("x means %s, and %s was committed", meaning, want)
			}
			if !strings.Contains(point, "committed") {
				return // one restart of each action is enough: the disk has been looked at
			}
			s := serveWith(t, ServeOptions{Data: dir})
			defer end(t, s)
			if a := s.alias("x"); (a == nil) != (meaning == "nothing") || a != nil && (a.generation == nil || merge.DigestString(a.activation.Generation) != meaning) {
				t.Errorf("after the restart x is %+v, want %s", a, meaning)
			}
			load(t, s, "x", other)
		})
	}
}
