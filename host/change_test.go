package host

import (
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// restart kills the backend and waits until its successor knows what the table says.
func restart(t *testing.T, s *Serving) {
	t.Helper()
	before := s.restarts.Load()
	if err := syscall.Kill(s.supervisor.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for s.restarts.Load() == before {
		runtime.Gosched()
	}
	if _, err := s.supervisor.Client(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestBackendDiesBeforeActivation kills the backend when a generation is staged and not live: its successor was told what the table said
// before, and must be told the rest.
func TestBackendDiesBeforeActivation(t *testing.T) {
	s := serveFast(t)
	load(t, s, "restaurant", filepath.Join(restaurant, "adapter"))
	first := greedy(t, s, "restaurant")
	staged, err := s.Load(t.Context(), server.Load{Alias: "restaurant", Ref: otherAdapter(t), Staged: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := greedy(t, s, "restaurant"); !slices.Equal(got, first) {
		t.Errorf("what is only staged is served: %v, want %v", got, first)
	}
	restart(t, s)
	if _, err := s.Activate(t.Context(), "restaurant", staged.Model.Generation); err != nil {
		t.Fatal(err)
	}
	if got := greedy(t, s, "restaurant"); slices.Equal(got, first) {
		t.Error("the load was acknowledged, and the generation before it is served")
	}
	restart(t, s)
	if _, err := s.Rollback(t.Context(), "restaurant", ""); err != nil {
		t.Fatal(err)
	}
	if got := greedy(t, s, "restaurant"); !slices.Equal(got, first) {
		t.Errorf("after the rollback it says %v, want %v", got, first)
	}
}

// TestUnloadedWhileWaiting unloads an alias with a request in the queue: the base's text is no answer to it.
func TestUnloadedWhileWaiting(t *testing.T) {
	s := serveFast(t)
	load(t, s, "restaurant", filepath.Join(restaurant, "adapter"))
	ctx, release := context.WithCancel(t.Context())
	defer release()
	for range 1000 { // as many as the backend writes at a time, and some more
		go func() {
			if stream, err := s.Generate(ctx, &backendpb.GenerateRequest{Prompt: probePrompt, MaxTokens: 490, Logprobs: -1}); err == nil {
				_ = drain(stream)
			}
		}()
		if s.Status().Waiting > 3 {
			break
		}
	}
	waiting := s.Status().Waiting
	if waiting == 0 {
		t.Fatal("the backend lets nobody wait")
	}
	answer := make(chan error, 1)
	go func() {
		_, err := collect(t.Context(), s, "restaurant")
		answer <- err
	}()
	for range 1000 { // it comes to the queue, most times: what has not come yet finds the alias gone
		if s.Status().Waiting > waiting {
			break
		}
	}
	if err := s.Unload(t.Context(), "restaurant"); err != nil {
		t.Fatal(err)
	}
	release()
	if err := <-answer; len(fault.All(err)) == 0 || fault.All(err)[0].Code != fault.IONotFound {
		t.Errorf("the request ended with %v, want %s", err, fault.IONotFound)
	}
}

// TestAdapterLimit loads more names than can be live.
func TestAdapterLimit(t *testing.T) {
	s := serveFast(t)
	ref := filepath.Join(restaurant, "adapter")
	for i := range maxAdapters {
		load(t, s, "a"+strconv.Itoa(i), ref)
	}
	if _, err := s.Load(t.Context(), server.Load{Alias: "more", Ref: ref}); len(fault.All(err)) == 0 || fault.All(err)[0].Code != fault.IOSpace {
		t.Errorf("one more than the limit: %v, want %s", err, fault.IOSpace)
	}
	load(t, s, "a0", otherAdapter(t)) // a name that is live is not one more
	if err := s.Unload(t.Context(), "a1"); err != nil {
		t.Fatal(err)
	}
	load(t, s, "more", ref)
}

// TestScaleIsJudged merges at a scale that is not the adapter's own: the verdict is about what is written.
func TestScaleIsJudged(t *testing.T) {
	h := newHost(t, Options{})
	request := MergeRequest{Adapter: filepath.Join(restaurant, "adapter"), Base: filepath.Join(restaurant, "base"), Out: filepath.Join(t.TempDir(), "out")}
	ratio := map[float64]float64{}
	for _, request.Scale = range []float64{0.25, 1e38} {
		request.Out += "x"
		_, r, err := h.Merge(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if want := 2 * request.Scale; len(r.Adapter.Scale) != 1 || float64(r.Adapter.Scale[0]) != want {
			t.Errorf("scale %v: the report is about %v, want %v", request.Scale, r.Adapter.Scale, want)
		}
		for _, m := range r.Metrics {
			if m.Name == "norm_ratio" {
				ratio[request.Scale] = max(ratio[request.Scale], float64(m.Value))
			}
		}
	}
	if !(ratio[1e38] > 1e37*ratio[0.25]) {
		t.Errorf("the largest change is %v times its weight at 1e38, and %v at 0.25", ratio[1e38], ratio[0.25])
	}
}

// TestComparedWithWhatIsLive: what is loaded is compared with what the other aliases mean, and not with what it replaces.
func TestComparedWithWhatIsLive(t *testing.T) {
	s := serveFast(t)
	first, other := filepath.Join(restaurant, "adapter"), otherAdapter(t)
	peers := func(name, ref string) []string {
		t.Helper()
		var refs []string
		for _, p := range load(t, s, name, ref).Peers {
			refs = append(refs, p.Ref)
		}
		return refs
	}
	for _, c := range []struct {
		name, ref string
		want      []string
	}{
		{"a", first, nil},
		{"b", other, []string{first}},
		{"c", first, []string{first, other}}, // b and, once, what a means
		{"b", first, []string{first}},        // a and c mean the same
	} {
		if got := peers(c.name, c.ref); !slices.Equal(got, c.want) {
			t.Errorf("loading %s as %s compares it with %q, want %q", c.ref, c.name, got, c.want)
		}
	}
	// What was compared with is let go of: loading what is live already leaves nothing behind.
	before := openFiles(t)
	for range 5 {
		peers("a", first)
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors are open, %d before five loads that change nothing", after, before)
	}
}
