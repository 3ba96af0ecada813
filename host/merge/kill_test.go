package merge_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/merge"
)

// The variables by which the test tells a copy of itself what to merge, and by which it is told how often to kill.
const (
	mergeVariable = "TENON_TEST_MERGE" // base, adapter and output, with a vertical bar between
	killsVariable = "TENON_TEST_KILLS"
)

// TestKilledMerge is what the copy runs.
func TestKilledMerge(t *testing.T) {
	what := strings.Split(os.Getenv(mergeVariable), "|")
	if len(what) != 3 {
		t.Skip("this is run by TestKill")
	}
	p := small{what[0], what[1]}.plan(t)
	client := newClient(t, p)
	fmt.Println("ready")
	if _, err := p.Write(context.Background(), client, merge.Output{Gate: admitted, Dir: what[2]}); err != nil {
		t.Fatal(err)
	}
}

// TestKill kills merges at random moments, each time over what the last one left, until one ends: the output is never there in part, and
// always what a merge in one go gives.
func TestKill(t *testing.T) {
	kills := 10
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", killsVariable, err)
		}
	}
	s := small{filepath.Join(restaurant, "base"), filepath.Join(restaurant, "adapter")}
	p := s.plan(t)
	want := write(t, p, newClient(t, p), filepath.Join(t.TempDir(), "merged"))
	parent := t.TempDir()
	out := filepath.Join(parent, "merged")
	random := rand.New(rand.NewPCG(3, 4))
	longest := 100 * time.Millisecond
	ended := 0
	for killed := 0; killed < kills; {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledMerge$")
		child.Env = append(os.Environ(), mergeVariable+"="+strings.Join([]string{s.base, s.adapter, out}, "|"))
		stdout, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fscan(stdout, new(string)); err != nil {
			t.Fatalf("the child said nothing: %v", err)
		}
		started := time.Now()
		timer := time.AfterFunc(time.Duration(random.Int64N(int64(longest))), func() { child.Process.Kill() })
		err = child.Wait()
		timer.Stop()
		_, missing := os.Lstat(out)
		exit, _ := errors.AsType[*exec.ExitError](err)
		switch {
		case err == nil && missing == nil:
			// It was faster than the killer, which is to hit it at any moment.
			longest = time.Since(started)
			ended++
		case exit == nil || exit.Exited():
			t.Fatalf("the child ended with %v", err)
		default:
			killed++
		}
		if missing == nil {
			if _, err := merge.Verify(t.Context(), out); err != nil {
				t.Fatalf("after %d kills there is an output that does not verify: %v", killed, err)
			}
			wantSame(t, contents(t, out), want)
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(left(t, parent)) > 1 {
		t.Errorf("%d kills left %v", kills, left(t, parent))
	}
	t.Logf("%d merges were killed and %d ended", kills, ended)
	wantSame(t, write(t, p, newClient(t, p), out), want)
}
