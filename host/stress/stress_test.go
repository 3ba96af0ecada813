package stress

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/hostile/traces"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

var long = flag.Bool("long", false, "make all of 1,000 checks, not 60")

// checks are made at once.
const checks = 4

// adapters are checked against one base.
var adapters = []string{"r1-s0", "r4-s0", "r8-s0", "r8-s1"}

// pick is the module and the adapter of check i. Every module meets every adapter.
func pick(all []subject, i int) (subject, int) {
	return all[i*37%len(all)], (i/len(all) + i) % len(adapters)
}

// pair is a module and an adapter.
type pair struct {
	id      string
	adapter int
}

// marks is the id under which it is known what the guests that mark read of an adapter.
const marks = ""

// TestManyModules: whatever runs beside it, every check comes to the verdict that is known of its module and its adapter, with the numbers
// of that module and that adapter, and in the end nothing is left behind.
func TestManyModules(t *testing.T) {
	n := 60
	if *long {
		n = 1_000
	}
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	t.Setenv("TMPDIR", t.TempDir())
	all, bindings := subjects(t, dir), load(t)
	builtin, err := modules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	runner := &worker.Runner{Executable: os.Getenv("TENON_TEST_WORKER"), CacheDir: cache, Parallel: 2, Spares: 1}
	check := func(s subject, a int) (*report.Report, error) {
		p, err := gate.LoadPolicy(s.policy)
		if err != nil {
			return nil, err
		}
		g := &gate.Gate{Policy: p, Modules: builtin, Runner: runner, Parallel: 2}
		return g.Check(context.Background(), gate.Subject{Binding: bindings[a]})
	}

	before := traces.Take(t)
	known := alone(t, check, all, n)
	start, least := time.Now(), traces.Resident(t)
	var wrong, hostile atomic.Int64
	var group sync.WaitGroup
	next := make(chan int)
	for range checks {
		group.Go(func() {
			for i := range next {
				s, a := pick(all, i)
				r, err := check(s, a)
				if fault := s.judge(r, err, known[pair{s.id, a}], known[pair{marks, a}]); fault != "" {
					wrong.Add(1)
					t.Errorf("check %d, module %s, adapter %d: %s", i, s.id, a, fault)
				}
				if s.verdict == report.Inconclusive {
					hostile.Add(1)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	t.Logf("%d checks of %d modules over %d adapters, %d of them hostile, in %v: %d wrong; memory grew by %d KiB", n, len(all), len(bindings),
		hostile.Load(), time.Since(start).Round(time.Millisecond), wrong.Load(), (traces.Resident(t)-least)>>10)
	if err := runner.Close(); err != nil {
		t.Error(err)
	}
	before.MustBeAll(t)
}

// load binds the adapters to their base.
func load(t *testing.T) (bindings []*adapter.Binding) {
	t.Helper()
	examples := filepath.Join("..", "..", "examples")
	b, err := base.Open(filepath.Join(examples, "restaurant", "base"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	for _, name := range adapters {
		binding, err := adapter.Load(filepath.Join(examples, "paper", name), b)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = binding.Adapter.Close() })
		bindings = append(bindings, binding)
	}
	return bindings
}

// alone makes the checks whose numbers are not known otherwise while nothing else runs: those of the first n with modules that ship with
// Tenon, and one for each adapter with a guest that marks.
func alone(t *testing.T, check func(subject, int) (*report.Report, error), all []subject, n int) map[pair]string {
	t.Helper()
	known, seen := map[pair]string{}, map[string]bool{}
	ask := func(key pair, s subject) *report.Report {
		r, err := check(s, key.adapter)
		if err != nil || len(r.Modules) != 1 || r.Modules[0].Status != string(sandbox.OK) {
			t.Fatalf("module %s, adapter %d: %v, %+v", s.id, key.adapter, err, r)
		}
		return r
	}
	for a := range adapters {
		weight := given(ask(pair{marks, a}, all[len(all)-1]), "weight")
		if seen[weight] {
			t.Fatalf("two adapters have a weight of %s", weight)
		}
		seen[weight], known[pair{marks, a}] = true, weight
	}
	for i := range n {
		s, a := pick(all, i)
		if key := (pair{s.id, a}); s.builtin && known[key] == "" {
			known[key] = content(ask(key, s))
		}
	}
	return known
}

// judge says what is wrong with the report of a check; "" when nothing is.
func (s subject) judge(r *report.Report, err error, known, weight string) string {
	switch {
	case err != nil:
		return err.Error()
	case len(r.Modules) != 1 || r.Modules[0].ID != s.id || r.Modules[0].Status != string(s.status):
		return fmt.Sprintf("modules %+v, want %s", r.Modules, s.status)
	case s.builtin && content(r) != known:
		return fmt.Sprintf("the report is\n%s\nand was\n%s", content(r), known)
	case !s.builtin && r.Verdict != s.verdict:
		return fmt.Sprintf("verdict %s, want %s", r.Verdict, s.verdict)
	case s.mark >= 0 && (given(r, "mark") != fmt.Sprint(float64(s.mark)) || given(r, "weight") != weight):
		return fmt.Sprintf("mark %s and weight %s, want %d and %s", given(r, "mark"), given(r, "weight"), s.mark, weight)
	case s.mark < 0 && !s.builtin && len(r.Metrics) > 0:
		return fmt.Sprintf("metrics of a module that failed: %+v", r.Metrics)
	}
	return ""
}

// given is a metric of a report.
func given(r *report.Report, name string) string {
	for _, m := range r.Metrics {
		if m.Name == name {
			return fmt.Sprint(float64(m.Value))
		}
	}
	return "none"
}

// content is a report without what its runs cost.
func content(r *report.Report) string {
	same := *r
	same.Modules = append([]report.Module(nil), r.Modules...)
	for i := range same.Modules {
		same.Modules[i].Usage = report.Usage{}
	}
	return fmt.Sprintf("%+v", same)
}
