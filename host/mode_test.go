package host

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// oneGeneration is what the example's adapter needs, merged.
func oneGeneration(t *testing.T) int64 {
	t.Helper()
	h := newHost(t, Options{})
	b := openBase(t, filepath.Join(restaurant, "base"))
	checked, err := h.bind(t.Context(), b, filepath.Join(restaurant, "adapter"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer checked.Close()
	return checked.Plan.Bytes()
}

// TestMemory: what does not fit is refused with numbers before anything is staged, and what nobody needs makes room first.
func TestMemory(t *testing.T) {
	size := oneGeneration(t)
	s := serveWith(t, ServeOptions{Memory: 2*size + size/2, Mode: server.ModeMerged})
	defer end(t, s)
	first, other := filepath.Join(restaurant, "adapter"), otherAdapter(t)
	load(t, s, "x", first)
	load(t, s, "x", other) // the first one is kept for a rollback
	if n := len(s.Generations()); n != 2 {
		t.Fatalf("%d generations are in memory, want the live one and the one before", n)
	}
	third := scaledAdapter(t, 8)
	load(t, s, "y", third) // and makes room
	for _, g := range s.Generations() {
		if g.State != server.StateLive || len(g.Aliases) != 1 || g.Bytes <= 0 {
			t.Errorf("%+v is in memory, want what is live", g)
		}
	}
	_, err := s.Load(t.Context(), server.Load{Alias: "z", Ref: scaledAdapter(t, 4)})
	if code(err) != fault.IOMemory || !strings.Contains(err.Error(), "left") {
		t.Errorf("one too many: %v, want %s with numbers", err, fault.IOMemory)
	}
	if unmerged := s.described.Unmerged; strings.Contains(err.Error(), "unmerged") != unmerged || !strings.Contains(err.Error(), "unload an adapter") {
		t.Errorf("what helps is not told: %v", err)
	}
	if got := s.Status(); got.MemoryUsed != 2*size || got.MemoryLimit != 2*size+size/2 {
		t.Errorf("%d of %d bytes are used, want %d", got.MemoryUsed, got.MemoryLimit, 2*size)
	}
	load(t, s, "z", third) // the same generation under another name needs nothing
	if y, z := s.alias("y").generation, s.alias("z").generation; y != z {
		t.Error("two names of the same bytes have a generation each")
	}
	// The way back is open, whatever the budget says.
	if _, err := s.Rollback(t.Context(), "x", ""); err != nil {
		t.Errorf("the way back is closed: %v", err)
	}
}

// TestPinnedStays evicts beside a generation that a request is bound to, and one that is being made live.
func TestPinnedStays(t *testing.T) {
	s := newShelf()
	plan := func(n byte) *merge.Plan {
		p := &merge.Plan{Digest: [32]byte{n}, Items: []merge.Item{{}}}
		p.Items[0].Base.Length = 10
		return p
	}
	put := func(n byte, limit int64, keep map[[32]byte]bool) entry {
		return s.enter(&generation{plan: plan(n), binding: &adapter.Binding{Adapter: &adapter.Adapter{Ref: "x"}}}, limit, keep)
	}
	pinned, busy, staged, idle := put(1, 0, nil).in, put(2, 0, nil).in, put(3, 0, nil).in, put(4, 0, nil).in
	done := s.begin(busy.digest())
	s.unpin(busy)
	s.unpin(staged)
	s.unpin(idle)
	keep := map[[32]byte]bool{staged.digest(): true}
	if e := put(5, 20, keep); e.short == nil || !strings.Contains(e.short.Error(), "needs 10 bytes") {
		t.Fatalf("what cannot fit: %+v", e) // the pinned and the busy one stay, whatever happens
	}
	if e := put(5, 30, keep); e.victim != idle {
		t.Fatalf("%+v goes first, want what nobody wants", e.victim)
	}
	e := put(4, 30, keep)
	if e.in != nil || e.gone == nil {
		t.Fatalf("what is leaving was taken for what is there: %+v", e)
	}
	if g, gone := s.find(idle.digest()); g != nil || gone == nil {
		t.Error("what is leaving was found")
	}
	s.gone(idle)
	<-e.gone
	if e := put(5, 30, keep); e.victim != staged {
		t.Errorf("%+v goes next, want what is staged", e.victim)
	}
	s.gone(staged)
	five := put(5, 30, keep)
	if five.in == nil {
		t.Fatalf("there is room: %+v", five)
	}
	if !done() {
		t.Error("its last request has ended, and it is not idle")
	}
	if out := s.unwanted(nil); len(out) != 1 || out[0] != busy {
		t.Errorf("%d are unwanted, want the one that was busy", len(out))
	}
	if lost := s.lost(); len(lost) != 0 {
		t.Errorf("%d are lost: the pinned are not, and the leaving one is somebody's", len(lost))
	}
	_ = pinned
}

// TestFreedWithLastRequest swaps twice beside a request: its generation's memory is freed when it ends, and not before.
func TestFreedWithLastRequest(t *testing.T) {
	s := serveFast(t)
	load(t, s, "x", filepath.Join(restaurant, "adapter"))
	old := s.alias("x").activation.Generation
	stream, err := s.Generate(t.Context(), &backendpb.GenerateRequest{Alias: "x", Prompt: probePrompt, MaxTokens: 64, Logprobs: -1})
	if err != nil {
		t.Fatal(err)
	}
	load(t, s, "x", otherAdapter(t))
	load(t, s, "x", scaledAdapter(t, 8)) // the first is not what Rollback would go back to any more
	holds := func() bool {
		return slices.ContainsFunc(s.Generations(), func(r server.Resident) bool { return r.Generation == merge.DigestString(old) })
	}
	if !holds() {
		t.Error("it is gone, and a request is bound to it")
	}
	if err := drain(stream); err != nil {
		t.Fatal(err)
	}
	s.background.Wait()
	if holds() {
		t.Error("its last request has ended, and it is still there")
	}
}

// TestUnmerged serves an adapter by its factors, where the memory has no room for the merge and where somebody asks for it.
func TestUnmerged(t *testing.T) {
	size := oneGeneration(t)
	s := serveWith(t, ServeOptions{Memory: size + 3*size/4})
	defer end(t, s)
	if !s.described.Unmerged {
		t.Skip("the backend merges only")
	}
	ref := filepath.Join(restaurant, "adapter")
	load(t, s, "merged", ref)
	want := greedy(t, s, "merged")
	load(t, s, "tight", otherAdapter(t))
	if _, err := s.Load(t.Context(), server.Load{Alias: "asked", Ref: ref, Mode: server.ModeUnmerged}); err != nil {
		t.Fatal(err)
	}
	for alias, mode := range map[string]server.Mode{"merged": server.ModeMerged, "tight": server.ModeUnmerged, "asked": server.ModeUnmerged} {
		i := slices.IndexFunc(s.Models(), func(m server.Model) bool { return m.ID == alias })
		if m := s.Models()[i]; m.Mode != mode || m.ModeReason == "" || m.Bytes <= 0 {
			t.Errorf("%s: %q because %q, %d bytes; want it %s", alias, m.Mode, m.ModeReason, m.Bytes, mode)
		}
	}
	if got := greedy(t, s, "asked"); !slices.Equal(got, want) {
		t.Errorf("unmerged it says %v, merged %v", got, want)
	}
	if s.alias("asked").activation.Generation == s.alias("merged").activation.Generation {
		t.Error("merged and unmerged are one generation")
	}
	// Where nobody asks for a mode, what is live stays in its own.
	sequence := s.alias("asked").activation.Sequence
	load(t, s, "asked", ref)
	if got := s.alias("asked").activation.Sequence; got != sequence {
		t.Errorf("loading what is live is change %d, it was at %d", got, sequence)
	}
	if got := s.alias("asked").reason; got != "as the load asked" {
		t.Errorf("loaded again it is so because %q", got)
	}
	before := merge.DigestString(s.alias("asked").activation.Generation)
	load(t, s, "asked", otherAdapter(t))
	if m, err := s.Rollback(t.Context(), "asked", before); err != nil || m.ModeReason != "as the load asked" {
		t.Errorf("gone back to it is %s because %q, %v", m.Mode, m.ModeReason, err)
	}
	clear(s.reasons) // as after a restart
	if got := s.why(s.alias("tight").activation, s.alias("tight").generation); !strings.Contains(got, "loaded so") {
		t.Errorf("in another life it is so because %q", got)
	}
	s.memory = size - 1
	for alias, want := range map[string]string{"tight": "do not fit the", "merged": "more than the"} {
		if got := s.why(s.alias(alias).activation, s.alias(alias).generation); !strings.Contains(got, want) {
			t.Errorf("%s: with less memory it is so because %q, want %q", alias, got, want)
		}
	}
	s.memory = size + 3*size/4
	restart(t, s)
	if got := greedy(t, s, "asked"); !slices.Equal(got, want) {
		t.Errorf("after a death it says %v, it said %v", got, want)
	}
	if _, err := s.Load(t.Context(), server.Load{Alias: "x", Ref: ref, Mode: "folded"}); code(err) != fault.UsageFlag {
		t.Errorf("a mode that there is none of: %v", err)
	}
}
