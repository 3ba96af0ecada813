package worker

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// waiting gives the spares of a runner once there are n of them.
func waiting(t *testing.T, r *Runner, n int) []*spare {
	t.Helper()
	for range 1000 {
		r.spares.mu.Lock()
		var ready []*spare
		for _, kept := range r.spares.all {
			if kept.process != nil {
				ready = append(ready, kept)
			}
		}
		r.spares.mu.Unlock()
		if len(ready) == n {
			return ready
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("there are not %d spares", n)
	return nil
}

func TestSparesServeOneJobEach(t *testing.T) {
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache"), Spares: 2}
	defer r.Close()
	r.Warm()
	seen := map[*process]bool{}
	for i := range 6 {
		for _, kept := range waiting(t, r, min(2, i/2+1)) { // the second run is the first that finds the module in the cache
			seen[kept.process] = true
		}
		if result, _ := r.Run(context.Background(), job(wasmtest.Returning(7), abi.Limits{})); result.Code != 7 {
			t.Fatalf("run %d: %+v", i, result)
		}
	}
	if len(seen) < 6 {
		t.Errorf("%d spares for 6 runs", len(seen))
	}
	kept := waiting(t, r, 2)
	if kept[0].loaded == kept[1].loaded {
		t.Errorf("both spares have, or have not, compiled a module: %t", kept[0].loaded)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, one := range kept {
		select {
		case <-one.process.gone:
		default:
			t.Error("a spare outlives Close")
		}
	}
	if result, _ := r.Run(context.Background(), job(wasmtest.Returning(7), abi.Limits{})); result.Code != 7 {
		t.Errorf("after Close: %+v", result)
	}
	if r.Warm(); len(r.spares.all) > 0 {
		t.Error("spares after Close")
	}
}

// TestLoadedSpareIsForItsModule: what has compiled one module, or compiled it for other limits, is never given another.
func TestLoadedSpareIsForItsModule(t *testing.T) {
	limits := abi.Limits{}.WithDefaults()
	other := limits
	other.GuestMemory /= 2
	for _, c := range []struct {
		name  string
		ask   load
		files int
		cold  bool
		want  bool
	}{
		{"its module", load{[32]byte{1}, limits}, 0, false, true},
		{"another module", load{[32]byte{2}, limits}, 0, false, false},
		{"other limits", load{[32]byte{1}, other}, 0, false, false},
		{"too many files", load{[32]byte{1}, limits}, maxPreparedFiles + 1, false, false},
		{"to fill the cache", load{[32]byte{1}, limits}, 0, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &spares{all: []*spare{{loaded: true, load: load{[32]byte{1}, limits}, process: &process{dead: make(chan struct{})},
				expiry: time.NewTimer(time.Hour)}}}
			if p, loaded := s.take(c.ask, c.files, c.cold); (p != nil) != c.want || loaded != c.want {
				t.Errorf("given %t, loaded %t, want %t", p != nil, loaded, c.want)
			}
		})
	}
}

// TestColdRunLeavesTheLoadedSpare: a run that the cache has lost the module for compiles it, whatever a spare has loaded, so that there is
// code to publish.
func TestColdRunLeavesTheLoadedSpare(t *testing.T) {
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache")}
	defer r.Close()
	j := job(wasmtest.Returning(7), soon)
	p, err := start("")
	if err != nil {
		t.Fatal(err)
	}
	close(p.prepared)
	r.spares.all = []*spare{{loaded: true, load: load{j.SHA256, j.Limits.WithDefaults()}, process: p, expiry: time.NewTimer(time.Hour)}}
	if result, _ := r.Run(context.Background(), j); result.Code != 7 {
		t.Errorf("%+v", result)
	}
	if len(r.spares.all) != 1 {
		t.Error("the spare is taken")
	}
	compiledFile(t, filepath.Join(r.CacheDir, entryName(j.SHA256)))
}

// TestSpareOfTheOftenerModule: a module that ran as often as another does not take its place.
func TestSpareOfTheOftenerModule(t *testing.T) {
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache"), Spares: 2}
	defer r.Close()
	run := func(code int32, times int) {
		for range times {
			if result, _ := r.Run(context.Background(), job(wasmtest.Returning(code), abi.Limits{})); result.Code != code {
				t.Fatalf("%+v", result)
			}
		}
	}
	of := func() [32]byte {
		for _, kept := range waiting(t, r, 2) {
			if kept.loaded {
				return kept.load.sum
			}
		}
		return [32]byte{}
	}
	run(1, 2)
	one := of()
	run(2, 2)
	if of() != one {
		t.Error("the second module took the place of the first")
	}
	run(2, 1)
	if of() == one {
		t.Error("the second module has no spare, though it runs oftener")
	}
}

// TestDeadSpareIsReplaced: the kernel takes a spare when memory is short, before a job comes or as it does.
func TestDeadSpareIsReplaced(t *testing.T) {
	for _, when := range []string{"long ago", "this moment"} {
		t.Run(when, func(t *testing.T) {
			r := &Runner{Spares: 1}
			defer r.Close()
			r.Warm()
			p := waiting(t, r, 1)[0].process
			p.kill()
			if when == "long ago" {
				<-p.gone
			}
			file, err := os.Open(os.DevNull) // which cannot be handed to it
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			j := job(wasmtest.Returning(7), abi.Limits{})
			j.Input.Targets = []sandbox.Target{targetIn(file)}
			if result, _ := r.Run(context.Background(), j); result.Code != 7 {
				t.Errorf("%+v", result)
			}
		})
	}
}

// TestHostileGuestsInSpares: a deadline is one for a spare as well.
func TestHostileGuestsInSpares(t *testing.T) {
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache"), Spares: 2}
	defer r.Close()
	for range 3 {
		result, _ := r.Run(context.Background(), job(wasmtest.Recursing(), soon))
		if result.Status != sandbox.Timeout || !strings.Contains(result.Error, "running") {
			t.Errorf("%s %q", result.Status, result.Error)
		}
	}
}

func TestSparesExpire(t *testing.T) {
	r := &Runner{Spares: 1}
	defer r.Close()
	r.Warm()
	kept := waiting(t, r, 1)[0]
	r.spares.expire(kept)
	<-kept.process.gone
	r.spares.expire(kept) // again is harmless
	waiting(t, r, 0)
}

// TestRunsShareSpares is for the race detector.
func TestRunsShareSpares(t *testing.T) {
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache"), Spares: 3, Parallel: 4}
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			code := int32(i%3 + 1)
			if result, _ := r.Run(context.Background(), job(wasmtest.Returning(code), abi.Limits{})); result.Code != code {
				t.Errorf("%+v", result)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	if err := r.Close(); err != nil { // in the middle of it
		t.Error(err)
	}
	group.Wait()
}

// parentName is the argv[0] under which the test binary starts workers and waits to be killed.
const parentName = "tenon-parent-of-workers"

func beParent() {
	r := &Runner{Spares: 1}
	r.Warm()
	go r.Run(context.Background(), job(wasmtest.Spinning(), abi.Limits{}))
	time.Sleep(500 * time.Millisecond) // the first has the job, and the second waits
	fmt.Println("started")
	select {}
}

// TestWorkersDieWithTheirParent: neither a worker at work nor one that waits outlives the process that started it, however that ends.
func TestWorkersDieWithTheirParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel is not asked to outside Linux")
	}
	command := exec.Command("/proc/self/exe")
	command.Args = []string{parentName}
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	var children []string
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, stat := range stats {
		text, _ := os.ReadFile(stat) // which may be gone
		_, after, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(command.Process.Pid) {
			children = append(children, stat)
		}
	}
	if len(children) == 0 {
		t.Error("it has started no worker")
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	for _, stat := range children {
		for i := 0; ; i++ {
			text, err := os.ReadFile(stat)
			if err != nil || strings.Contains(string(text), ") Z ") {
				break
			}
			if i == 1000 {
				t.Fatalf("a worker outlives its parent: %s", text)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}
