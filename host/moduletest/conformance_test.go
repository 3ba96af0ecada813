package moduletest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
	"github.com/tenon-ml/tenon/wasm/worker"
)

func conform(t *testing.T, m modules.Module) []Outcome {
	t.Helper()
	told := 0
	kit := Kit{One: inProcess{}, Two: inProcess{}, Told: func(Outcome) { told++ }, Interpreter: sandbox.Run}
	all, err := kit.Conform(context.Background(), m)
	if err != nil || told != len(all) {
		t.Fatalf("%v, told %d of %d", err, told, len(all))
	}
	return all
}

func TestConform(t *testing.T) {
	imports := func(list ...wasmtest.Import) wasmtest.Module { return wasmtest.Guest(list, wasmtest.Const(0)...) }
	noExport := wasmtest.Quiet()
	noExport.Functions[0].Export = "tenon_abi_2"
	wrongType := wasmtest.Quiet()
	wrongType.Functions[1].Results, wrongType.Functions[1].Code = nil, nil
	badPeer := wasmtest.Script(wasmtest.Do("metric", 0, 2, "m", 1.0), wasmtest.Do("peer_count"))
	for name, c := range map[string]struct {
		module modules.Module
		fails  string // the outcome that fails; "" for none
		what   string
		fix    string
	}{
		"one that says nothing": {module: module(wasmtest.Quiet())},
		"one that looks":        {module: module(wasmtest.Script(wasmtest.Do("target_count")))},
		"a missing export":      {module(noExport), "fits the ABI", `missing export "tenon_abi_1" () -> ()`, "every SDK exports it"},
		"a wrong export":        {module(wrongType), "fits the ABI", `export "diagnose" is () -> (), the ABI has () -> (i32)`, ""},
		"an unknown import": {module(imports(wasmtest.Import{Module: "env", Name: "sqrt", Params: []byte{wasmtest.F64},
			Results: []byte{wasmtest.F64}})), "fits the ABI", `unknown import "env"."sqrt" (f64) -> (f64)`, "define it"},
		"a wrong import": {module(imports(wasmtest.Import{Module: abi.Module, Name: "metric", Params: []byte{wasmtest.I32},
			Results: []byte{wasmtest.I32}})),
			"fits the ABI", "import tenon_v1.metric is (i32) -> (i32), the ABI has (i32, i32, i32, i32, f64) -> (i32)", "binding of the SDK"},
		"a need not named":  {module(imports(wasmtest.Host("svd")...)), "fits the ABI", `svd needs the capability "kernels"`, "add it to needs"},
		"a need not used":   {module(wasmtest.Quiet(), abi.CapPeers), "fits the ABI", `needs "peers", and the module imports no function`, "take"},
		"one that traps":    {module(wasmtest.Guest(nil, wasmtest.Unreachable)), "ordinary", "it ended with trap", "never traps"},
		"one that gives up": {module(wasmtest.Returning(3)), "ordinary", "it gave up", "return 0"},
		"one without a target 0": {module(wasmtest.Script(wasmtest.Do("target_info", 0, 700000))), "ordinary", "outside the guest's memory",
			"a bug of the module: a pointer"},
		"one that repeats itself": {module(wasmtest.Script(wasmtest.Do("metric", -1, -1, "m", 1.0), wasmtest.Do("metric", -1, -1, "m", 2.0))),
			"ordinary", `metric: "m" was given before for the adapter as a whole`, "give each name once per target"},
		"one that traps again": {module(wasmtest.Guest(nil, wasmtest.Unreachable)), "300 targets", "the same as on ordinary", ""},
		"one that hides":       {module(wasmtest.Measuring(9)), "few metrics", "ended with guest_error", ""},
		"one that loses": {module(wasmtest.Script(wasmtest.Do("metric", -1, -1, "m", 1.0))), "few metrics",
			"as if nothing was missing, with 1 of 2 metrics", "return a code above 0"},
		"one that asks for peers": {module: module(badPeer, abi.CapPeers)},
	} {
		t.Run(name, func(t *testing.T) {
			all := conform(t, c.module)
			if c.fails == "" {
				for _, o := range all {
					// A Script does not look at statuses, so it hides what a small quota takes.
					if !o.Passed() && !strings.HasPrefix(o.Name, "few ") {
						t.Errorf("%s: %v", o.Name, o.Problems)
					}
				}
				return
			}
			for _, o := range all {
				if o.Name != c.fails {
					continue
				}
				if c.what == "ended with guest_error" { // a module that counts what was refused may end so
					if !o.Passed() {
						t.Errorf("%v", o.Problems)
					}
					return
				}
				if o.Passed() || !strings.Contains(o.Problems[0].What, c.what) || !strings.Contains(o.Problems[0].Fix, c.fix) {
					t.Errorf("%+v, want %q and %q", o, c.what, c.fix)
				}
				return
			}
			t.Errorf("no outcome %q in %+v", c.fails, all)
		})
	}
}

// TestLog: a module that crashes is shown with the first lines of its log.
func TestLog(t *testing.T) {
	all := conform(t, module(wasmtest.Script(wasmtest.Do("log", "panic: index\n\n1\n\t2\n3\n4\n5"), wasmtest.Do("metric", -1, -1, "No", 1.0))))
	if p := all[1].Problems; len(p) != 1 || !slices.Equal(p[0].Log, []string{"panic: index", "1", "  2", "3", "4"}) {
		t.Errorf("%+v", all[1])
	}
}

// TestEndless: a module that does not end is run once in the kit, and once on the cases.
func TestEndless(t *testing.T) {
	endless := module(wasmtest.Spinning())
	endless.Manifest.Limits.RunMillis = 20
	for i, o := range conform(t, endless)[1:] {
		if i == 0 && o.Passed() || i > 0 && (o.Skipped != "it did not end on ordinary" || !o.Passed()) {
			t.Errorf("%+v", o)
		}
	}
	cases := &Cases{Cases: []Case{{Name: "a", Adapter: &Adapter{}, Expect: Expectation{Status: sandbox.OK}}, {Name: "b"}}}
	all, err := RunCases(context.Background(), inProcess{}, endless, cases, nil)
	if err != nil || len(all) != 2 || all[0].Passed() || all[1].Skipped != `it did not end on "a"` {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestOnly: what was not asked for is not told, and the quotas are measured all the same.
func TestOnly(t *testing.T) {
	m := module(wasmtest.Script(wasmtest.Do("metric", -1, -1, "m", 1.0)))
	for only, want := range map[string][]string{"few metrics": {"fits the ABI", "few metrics"}, "no base": {"fits the ABI", "no base"}, "x": {"fits the ABI"}} {
		kit := Kit{One: inProcess{}, Two: inProcess{}, Only: func(name string) bool { return name == only }}
		all, err := kit.Conform(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range all {
			got = append(got, o.Name)
			if o.Name == "few metrics" && o.Passed() {
				t.Error("few metrics was not measured")
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// TestNondeterminism: a runner that gives another number each time is told of by the metric's name.
func TestNondeterminism(t *testing.T) {
	kit := Kit{One: &drifting{}, Two: inProcess{}}
	all, err := kit.Conform(context.Background(), module(wasmtest.Script(wasmtest.Do("target_count"))))
	if err != nil {
		t.Fatal(err)
	}
	if p := all[1].Problems; len(p) != 1 || !strings.Contains(p[0].What, "two runs gave different results: metric r0 is 3, and r0 is 4") {
		t.Errorf("%+v", all[1])
	}
}

type drifting struct{}

func (*drifting) Run(ctx context.Context, job worker.Job) (sandbox.Result, string) {
	r, c := inProcess{}.Run(ctx, job)
	for i := range r.Metrics {
		r.Metrics[i].Value++
	}
	return r, c
}

// TestTricky: the adapters of the kit are what they say.
func TestTricky(t *testing.T) {
	for _, c := range tricky() {
		for _, target := range c.adapter.Targets {
			if c.name == "long names" && len(target.Name) != 500 {
				t.Errorf("a name of %d bytes", len(target.Name))
			}
		}
		s, err := newStore()
		if err != nil {
			t.Fatal(err)
		}
		in, err := s.input(context.Background(), c.adapter, abi.Manifest{BaseSVDRank: abi.BaseSVDTenth},
			[]abi.Capability{abi.CapBase, abi.CapPeers}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := sandbox.Run(context.Background(), sandbox.Options{Wasm: wasmtest.Quiet().Encode(), Input: in, Interpreter: true})
		if r.Status != sandbox.OK {
			t.Errorf("%s: %s %s", c.name, r.Status, r.Error)
		}
		s.Close()
	}
}

// TestWorker runs a case and the kit's first adapter in a real worker, with a trace.
func TestWorker(t *testing.T) {
	m := module(wasmtest.Script(wasmtest.Do("target_count"), wasmtest.Do("target_info", 0, 0)))
	cases, err := Parse("x.cases.json", []byte(`{"schema": "tenon.cases/v1", "cases": [
		{"name": "one", "adapter": {"targets": [{"name": "w", "a": [[1]], "b": [[1]]}]}, "expect": {"metrics": [{"name": "r0", "value": 1}]}},
		{"name": "two", "adapter": {"targets": []}, "expect": {"metrics": [{"name": "r0", "value": 1}, {"name": "r1", "value": -1}]}},
		{"name": "three", "adapter": {"targets": []}, "params": {"limt": 1}, "expect": {}},
		{"name": "four", "adapter_dir": "nowhere", "base_dir": "nowhere", "expect": {}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	m.Manifest.Params = map[string]abi.Parameter{"limit": {Default: 1}}
	seen := &Capture{Runner: &worker.Runner{}, Trace: sandbox.Trace{}}
	outcomes, err := RunCases(context.Background(), seen, m, cases, nil)
	if err != nil || len(outcomes) != 4 {
		t.Fatalf("%v, %v", outcomes, err)
	}
	if o := outcomes[0]; !o.Passed() {
		t.Errorf("%+v", o)
	}
	for i, want := range []string{"metric r0 is 0, want 1", "parameter \"limt\"", "cannot be read"} {
		if o := outcomes[i+1]; len(o.Problems) != 1 || !strings.Contains(o.Problems[0].What, want) {
			t.Errorf("%+v, want %q", o, want)
		}
	}
	if got := seen.Trace["target_count"].Count; got == 0 {
		t.Errorf("trace %v", seen.Trace)
	}
}
