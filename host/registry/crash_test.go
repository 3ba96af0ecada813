package registry

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/crashpoint"
)

// run runs a child, and reports what it printed and whether SIGKILL ended it. After a positive time it is killed from outside.
func run(t testing.TB, role, dir, crashAt string, after time.Duration) (output []byte, killed bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+role, "REGISTRY_DIR="+dir, crashpoint.Variable+"="+crashAt)
	var printed, failed bytes.Buffer
	child.Stdout, child.Stderr = &printed, &failed
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		defer time.AfterFunc(after, func() { _ = child.Process.Kill() }).Stop()
	}
	err := child.Wait()
	var exit *exec.ExitError
	killed = errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if err != nil && !killed {
		t.Fatalf("%v: %s", err, failed.String())
	}
	return printed.Bytes(), killed
}

// checkAcknowledged opens what a killed child left, and wants everything it acknowledged, at most one change more, and nothing half. It takes
// and gives what is live: before the child ran, and now.
func checkAcknowledged(t testing.TB, dir string, printed []byte, before []Activation) []Activation {
	t.Helper()
	r, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	intact(t, dir)
	committed, last := uint64(0), -1
	lines := bufio.NewScanner(bytes.NewReader(printed))
	for lines.Scan() {
		var what string
		var result uint64
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "%s %d %d", &what, &result, &n); err != nil {
			continue // the line that it was killed in
		}
		switch what {
		case "decided":
			d, err := r.Decision(t.Context(), int64(result))
			if err != nil || !bytes.Equal(d.Report, decision(n).Report) {
				t.Errorf("decision %d of step %d: %v", result, n, err)
			}
		case "kept":
			if err := checkKept(r, n); err != nil {
				t.Errorf("adapter of step %d: %v", n, err)
			}
		case "committed":
			committed, last = result, n
		}
	}
	live, err := r.Live(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case last < 0 && slices.Equal(live, before):
	case len(live) == 1 && live[0].Sequence == committed && live[0].Generation == number(last): // the old
	case len(live) == 1 && live[0].Sequence > committed && live[0].Generation == number(last+1): // the new, which nobody was told of
	default:
		t.Errorf("step %d was acknowledged as %d, and live is %+v", last, committed, live)
	}
	for _, a := range live {
		if dir, err := r.AdapterDir(a.Adapter); err != nil {
			t.Error(err)
		} else if text, err := readManifest(dir + manifestSuffix); err != nil || checkAdapter(t.Context(), dir, text) != nil {
			t.Errorf("the live adapter is not whole: %v", err)
		}
	}
	for _, name := range names(t, dir, adaptersName) {
		if !strings.HasSuffix(name, manifestSuffix) {
			path := filepath.Join(dir, adaptersName, name)
			if text, err := readManifest(path + manifestSuffix); err != nil || checkAdapter(t.Context(), path, text) != nil {
				t.Errorf("%s is published and not whole", name)
			}
		}
	}
	if left := names(t, dir, incomingName); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	return live
}

// TestKilledAtEveryPoint ends a host at each of its points, at the first visit and at a later one.
func TestKilledAtEveryPoint(t *testing.T) {
	points := 0
	for _, name := range crashpoint.Names() {
		if !strings.HasPrefix(name, "registry.") {
			continue
		}
		points++
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "registry.repair.") {
				killedRepair(t, name)
				return
			}
			for _, visit := range []string{"", ":2", ":7"} {
				dir := t.TempDir()
				printed, killed := run(t, "write", dir, name+visit, 0)
				if !killed {
					t.Fatalf("%s%s was not come by: %s", name, visit, printed)
				}
				checkAcknowledged(t, dir, printed, nil)
			}
		})
	}
	if points < 12 {
		t.Errorf("only %d points", points)
	}
}

// killedRepair ends a repair at a point. Whatever it leaves, a host refuses it or it is whole, and a second repair ends well.
func killedRepair(t *testing.T, point string) {
	for _, lost := range []string{DatabaseName, LogName, DatabaseName + "-wal"} {
		dir := t.TempDir()
		crashed(t, dir)
		before := intact(t, dir)
		if err := os.Remove(filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
		if _, killed := run(t, "repair", dir, point, 0); !killed {
			t.Fatal("the point was not come by")
		}
		if r, err := Open(t.Context(), Options{Dir: dir}); err == nil {
			shut(t, r)
		} else if code(err) != fault.RegCorrupt {
			t.Errorf("without %s: %v", lost, err)
		}
		report, err := Repair(t.Context(), dir)
		if err != nil || report.Rows <= before.Rows || report.Aliases != 2 {
			t.Errorf("without %s, the second repair gives %+v, %v", lost, report, err)
		}
		shut(t, open(t, dir))
		intact(t, dir)
	}
}

// TestKilledAtRandom kills hosts at random moments: each ten one after the other on a directory.
func TestKilledAtRandom(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	random := rand.New(rand.NewPCG(3, 4))
	kills := 0
	var dir string
	var live []Activation
	for n := range rounds {
		if n%10 == 0 {
			dir, live = t.TempDir(), nil
		}
		printed, killed := run(t, "write", dir, "", time.Duration(20+random.IntN(180))*time.Millisecond)
		if killed {
			kills++
		}
		live = checkAcknowledged(t, dir, printed, live)
	}
	t.Logf("%d of %d were killed", kills, rounds)
	if kills == 0 {
		t.Error("nobody was killed")
	}
}
