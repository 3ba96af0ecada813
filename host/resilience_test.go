package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
	"github.com/tenon-ml/tenon/wasm/worker"
)

const restaurant = "../examples/restaurant"

var probePrompt = []int32{1, 381, 273, 1061, 385, 115, 987, 278, 422, 273, 346, 347}

// serveRestaurant serves the example with its adapter live as "restaurant".
func serveRestaurant(t *testing.T) *Serving {
	t.Helper()
	s, err := newHost(t, Options{}).Serve(t.Context(), filepath.Join(restaurant, "base"), "base")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	load(t, s, "restaurant", filepath.Join(restaurant, "adapter"))
	return s
}

func load(t *testing.T, s *Serving, name, ref string) *report.Report {
	t.Helper()
	loaded, err := s.Load(t.Context(), server.Load{Alias: name, Ref: ref})
	if err != nil {
		t.Fatal(err)
	}
	if r := loaded.Report; !r.Verdict.Open() {
		t.Fatalf("%s: %s %+v", ref, r.Verdict, r.Findings)
	}
	return loaded.Report
}

// judge has another host decide about loads.
func judge(t *testing.T, s *Serving, h *Host) {
	t.Helper()
	if err := s.JudgeWith(h); err != nil {
		t.Fatal(err)
	}
}

func ids(tokens []*backendpb.Token) []int32 {
	var out []int32
	for _, token := range tokens {
		out = append(out, token.Id)
	}
	return out
}

func greedy(t *testing.T, s *Serving, alias string) []int32 {
	t.Helper()
	_, tokens := generate(t, s, &backendpb.GenerateRequest{Alias: alias, Prompt: probePrompt, MaxTokens: 16, Logprobs: -1})
	return ids(tokens)
}

// TestHostileModules puts modules that never end, or never compile, into the policy: the verdict is inconclusive, nothing changes, and what
// was live stays live.
func TestHostileModules(t *testing.T) {
	s := serveRestaurant(t)
	before := greedy(t, s, "restaurant")
	live := s.alias("restaurant")
	for _, c := range []struct {
		name   string
		module wasmtest.Module
	}{
		{"loops", wasmtest.Spinning()},
		{"recurses", wasmtest.Recursing()},
		{"fills", wasmtest.Filling(20_000)},
		{"bombs", wasmtest.Nesting(900, 40)},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy, err := gate.ParsePolicy("hostile.yaml", fmt.Appendf(nil, `schema: tenon.policy/v1
name: hostile
modules:
  - id: %s
    limits: {runMs: 300, compileMs: 300}
rules:
  - {code: NOTHING_APPLIED, severity: deny, when: coverage.applied == 0, message: nothing was applied}
`, c.name))
			if err != nil {
				t.Fatal(err)
			}
			wasm := c.module.Encode()
			judge(t, s, newHost(t, Options{
				Policy: policy, Runner: &worker.Runner{},
				Modules: []modules.Module{{Wasm: wasm, SHA256: sha256.Sum256(wasm), Manifest: abi.Manifest{ID: c.name, Version: "1.0.0", Title: "hostile"}}},
			}))
			loaded, err := s.Load(t.Context(), server.Load{Alias: "restaurant", Ref: filepath.Join(restaurant, "adapter")})
			if err != nil {
				t.Fatal(err)
			}
			r := loaded.Report
			if r.Verdict != report.Inconclusive {
				t.Errorf("verdict %s, want inconclusive: %+v", r.Verdict, r.Modules)
			}
			if len(r.Modules) != 1 || r.Modules[0].Status != "timeout" {
				t.Errorf("modules %+v, want one that timed out", r.Modules)
			}
			if s.alias("restaurant") != live {
				t.Error("what was live is not live any more")
			}
			if after := greedy(t, s, "restaurant"); !slices.Equal(before, after) {
				t.Errorf("it says %v, it said %v", after, before)
			}
		})
	}
}

// TestBackendKilled kills the backend with a request in flight: the request ends with an error, and the same generation is live again.
func TestBackendKilled(t *testing.T) {
	s := serveRestaurant(t)
	want := greedy(t, s, "restaurant")
	generation := s.Models()[1].Generation
	for round := range 2 {
		stream, err := s.Generate(t.Context(), &backendpb.GenerateRequest{Alias: "restaurant", Prompt: probePrompt, MaxTokens: 450, Logprobs: -1})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // admitted, and at work
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Kill(s.supervisor.Pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := drain(stream); err == nil || fault.All(err)[0].Code != fault.BackendDown {
			t.Fatalf("the request in flight ended with %v, want %s", err, fault.BackendDown)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.supervisor.Client(ctx); err != nil {
			t.Fatalf("it did not come back: %v", err)
		}
		if got := s.Models()[1].Generation; got != generation {
			t.Errorf("generation %s, was %s", got, generation)
		}
		if got := greedy(t, s, "restaurant"); !slices.Equal(got, want) {
			t.Errorf("it says %v, it said %v", got, want)
		}
		if got := s.Status().Restarts; got != int64(round)+1 {
			t.Errorf("%d restarts, want %d", got, round+1)
		}
	}
}

func drain(stream server.Stream) error {
	for {
		switch event, err := stream.Recv(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case event.GetFinish() != nil:
			return nil
		}
	}
}

// TestSwapAndRollback loads another adapter under a live name, goes back, and unloads, with a request pinned across each change.
func TestSwapAndRollback(t *testing.T) {
	other := shared(t, "models/tiny-llama/adapters/webnlg-all-r8")
	s := serveRestaurant(t)
	first := greedy(t, s, "restaurant")
	base := greedy(t, s, "")
	pinned, err := s.Generate(t.Context(), &backendpb.GenerateRequest{Alias: "restaurant", Prompt: probePrompt, MaxTokens: 16, Logprobs: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pinned.Recv(); err != nil { // admitted: bound to its generation from here
		t.Fatal(err)
	}
	load(t, s, "restaurant", other)
	var got []int32
	for {
		event, err := pinned.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if event.GetFinish() != nil {
			break
		}
		if token := event.GetToken(); token != nil {
			got = append(got, token.Id)
		}
	}
	if !slices.Equal(got, first) {
		t.Errorf("a request admitted before the swap said %v, want the old generation's %v", got, first)
	}
	second := greedy(t, s, "restaurant")
	if slices.Equal(first, second) {
		t.Error("the swap changed nothing")
	}
	model, err := s.Rollback(t.Context(), "restaurant", "")
	if err != nil {
		t.Fatal(err)
	}
	if model.History != 0 {
		t.Errorf("%d generations to go back to, want none", model.History)
	}
	if got := greedy(t, s, "restaurant"); !slices.Equal(got, first) {
		t.Errorf("after the rollback it says %v, want %v", got, first)
	}
	if _, err := s.Rollback(t.Context(), "restaurant", ""); err == nil {
		t.Error("it went back further than it came")
	}
	// Loading what is live already changes nothing.
	load(t, s, "restaurant", filepath.Join(restaurant, "adapter"))
	if got := s.Models()[1].History; got != 0 {
		t.Errorf("loading the same bytes made a generation: %d to go back to", got)
	}
	if err := s.Unload(t.Context(), "restaurant"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Generate(t.Context(), &backendpb.GenerateRequest{Alias: "restaurant", Prompt: probePrompt, MaxTokens: 1}); err == nil {
		t.Error("an unloaded name still answers")
	}
	if got := greedy(t, s, ""); !slices.Equal(got, base) {
		t.Errorf("the base says %v, it said %v", got, base)
	}
	load(t, s, "restaurant", other)
	if got := greedy(t, s, "restaurant"); !slices.Equal(got, second) {
		t.Errorf("loaded again it says %v, want %v", got, second)
	}
}

// TestRefusedLoadsChangeNothing loads what must be refused under a live name.
func TestRefusedLoadsChangeNothing(t *testing.T) {
	s := serveRestaurant(t)
	before := greedy(t, s, "restaurant")
	if _, err := s.Load(t.Context(), server.Load{Alias: "restaurant", Ref: filepath.Join(t.TempDir(), "nowhere")}); fault.ClassOf(err) != fault.Operational {
		t.Errorf("an adapter that is not there: %v", err)
	}
	for _, name := range []string{"", "../x", "a/b/c", "/a", "a/", "base", "a\nb"} {
		if _, err := s.Load(t.Context(), server.Load{Alias: name, Ref: filepath.Join(restaurant, "adapter")}); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if got := greedy(t, s, "restaurant"); !slices.Equal(got, before) {
		t.Errorf("it says %v, it said %v", got, before)
	}
}
