package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// fmtStack follows changes such as "+A" (activate), "-A" (roll back to) and "0" (unload), and writes what is left of them.
func fmtStack(changes string) string {
	var stack []registry.Activation
	for change := range strings.FieldsSeq(changes) {
		a := registry.Activation{Action: registry.ActionUnload}
		if change != "0" {
			a = registry.Activation{Action: registry.ActionActivate, Generation: [32]byte{change[1]}}
		}
		if change[0] == '-' {
			a.Action = registry.ActionRollback
		}
		stack = follow(stack, a)
	}
	var out []byte
	for _, a := range stack {
		out = append(out, a.Generation[0])
	}
	return string(out)
}

func code(err error) fault.Code {
	if list := fault.All(err); len(list) > 0 {
		return list[0].Code
	}
	return ""
}

// TestRestart: what was live comes back by itself, with its history, and loading it again is no change.
func TestRestart(t *testing.T) {
	o := ServeOptions{Data: t.TempDir()}
	first, other := filepath.Join(restaurant, "adapter"), otherAdapter(t)
	s := serveWith(t, o)
	load(t, s, "one", first)
	load(t, s, "two", first)
	load(t, s, "two", other)
	load(t, s, "gone", first)
	if err := s.Unload(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	one, two := greedy(t, s, "one"), greedy(t, s, "two")
	before := s.Models()[1:]
	end(t, s)
	if err := os.RemoveAll(other); err != nil { // the server has bytes of its own
		t.Fatal(err)
	}

	s = serveWith(t, o)
	defer end(t, s)
	after := s.Models()[1:]
	if !slices.Equal(before, after) {
		t.Fatalf("live is %+v, was %+v", after, before)
	}
	if got := greedy(t, s, "one"); !slices.Equal(got, one) {
		t.Errorf("one says %v, it said %v", got, one)
	}
	if got := greedy(t, s, "two"); !slices.Equal(got, two) {
		t.Errorf("two says %v, it said %v", got, two)
	}
	if _, err := collect(t.Context(), s, "gone"); code(err) != fault.IONotFound {
		t.Errorf("what was unloaded answers: %v", err)
	}
	load(t, s, "one", first)
	if got := s.alias("one").activation.Sequence; got != before[0].Sequence {
		t.Errorf("loading what is live is change %d, it was at %d", got, before[0].Sequence)
	}
	if r, err := s.Report(t.Context(), "two", ""); err != nil || r.Adapter.Ref != other {
		t.Errorf("the report is lost: %v, %v", r, err)
	}
	// The way back is from the store: neither generation before is in memory.
	if _, err := s.Rollback(t.Context(), "two", ""); err != nil {
		t.Fatal(err)
	}
	if m := s.Models()[2]; m.ModeReason != before[1].ModeReason {
		t.Errorf("its mode is %s because %q", m.Mode, m.ModeReason)
	}
	if got := greedy(t, s, "two"); !slices.Equal(got, one) {
		t.Errorf("after the rollback two says %v, want %v", got, one)
	}
	history, err := s.History(t.Context(), "gone", 10)
	if err != nil || len(history) != 2 || history[0].Action != "unload" || history[1].Action != "activate" {
		t.Errorf("history %+v, %v", history, err)
	}
	if _, err := s.Rollback(t.Context(), "gone", history[1].Generation); err != nil {
		t.Fatalf("what was unloaded cannot be gone back to: %v", err)
	}
	if got := greedy(t, s, "gone"); !slices.Equal(got, one) {
		t.Errorf("gone says %v, want %v", got, one)
	}
	rows, _, err := s.Audit(t.Context(), server.AuditPage{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for i, row := range rows {
		kinds = append(kinds, row.Kind)
		if i+1 < len(rows) && row.Previous != rows[i+1].Hash {
			t.Errorf("row %d does not follow the one before it", row.Sequence)
		}
	}
	if kinds[0] != "rollback" || kinds[1] != "rollback" || !slices.Contains(kinds, "unload") || !slices.Contains(kinds, "decision") {
		t.Errorf("the audit has %q", kinds)
	}
}

// TestDamagedAdapter changes what the store keeps: that alias says so, in place of the base's text, and the other one comes back.
func TestDamagedAdapter(t *testing.T) {
	o := ServeOptions{Data: t.TempDir()}
	s := serveWith(t, o)
	load(t, s, "bad", filepath.Join(restaurant, "adapter"))
	load(t, s, "good", otherAdapter(t))
	good := greedy(t, s, "good")
	dir, err := s.ledger.AdapterDir(s.alias("bad").activation.Adapter)
	if err != nil {
		t.Fatal(err)
	}
	end(t, s)
	config := filepath.Join(dir, "adapter_config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(config, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), `"lora_alpha": 32`, `"lora_alpha": 31`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}

	s = serveWith(t, o)
	defer end(t, s)
	models := s.Models()[1:]
	if models[0].ID != "bad" || models[0].State != server.StateFailed || !strings.Contains(models[0].Failure, "DIGEST") {
		t.Errorf("bad is %+v, want it failed with its reason", models[0])
	}
	if models[1].State != server.StateLive {
		t.Errorf("good is %+v", models[1])
	}
	if !s.Status().Ready {
		t.Errorf("the server is not ready: %s", s.Status().State)
	}
	if _, err := collect(t.Context(), s, "bad"); code(err) != fault.BackendDown || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("bad answers %v", err)
	}
	if got := greedy(t, s, "good"); !slices.Equal(got, good) {
		t.Errorf("good says %v, it said %v", got, good)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := false
	for events := s.Feed().Subscribe(ctx, 0); !failed; {
		e := <-events
		failed = e.Kind == server.KindFailed && e.Alias == "bad" && e.Message != ""
	}
	// It is loaded again, and is what it was.
	load(t, s, "bad", filepath.Join(restaurant, "adapter"))
	if m := s.Models()[1]; m.State != server.StateLive || m.Failure != "" {
		t.Errorf("loaded again it is %+v", m)
	}
}

// TestReturning: what is on its way back is no failure.
func TestReturning(t *testing.T) {
	s := serveFast(t)
	load(t, s, "x", filepath.Join(restaurant, "adapter"))
	live := s.alias("x")
	entry := &alias{activation: live.activation, stack: live.stack, returns: true, failure: returning}
	s.swap("x", entry)
	if m := s.Models()[1]; m.State != server.StateReturning || m.Failure != "" {
		t.Errorf("it is %+v", m)
	}
	if records, err := s.History(t.Context(), "x", 1); err != nil || records[0].State != server.StateReturning {
		t.Errorf("its history is %+v, %v", records, err)
	}
	if _, err := collect(t.Context(), s, "x"); code(err) != fault.BackendDown || !strings.Contains(err.Error(), "try again") {
		t.Errorf("it answers %v", err)
	}
	s.fail(t.Context(), entry, fault.New(fault.RegMissing, "its bytes are gone"))
	if m := s.Models()[1]; m.State != server.StateFailed || !strings.Contains(m.Failure, "are gone") {
		t.Errorf("then it is %+v", m)
	}
	s.swap("x", live)
}

// TestTakenBack offers what was gone back from, as a command line does after a restart: it stays as it was decided.
func TestTakenBack(t *testing.T) {
	s := serveFast(t)
	first, bad := filepath.Join(restaurant, "adapter"), otherAdapter(t)
	offer := func(ref string) string {
		t.Helper()
		loaded, err := s.Offer(t.Context(), server.Load{Alias: "x", Ref: ref})
		if err != nil {
			t.Fatal(err)
		}
		return loaded.Model.Root
	}
	if got := offer(first); got != first {
		t.Fatalf("it means %q, want %q", got, first)
	}
	if got := offer(bad); got != bad {
		t.Fatalf("it means %q, want %q", got, bad)
	}
	if _, err := s.Rollback(t.Context(), "x", ""); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{bad, first} {
		if got := offer(ref); got != first {
			t.Errorf("offered %q it means %q, want %q", ref, got, first)
		}
	}
	if err := s.Unload(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if got := offer(first); got != "" {
		t.Errorf("what was unloaded means %q again", got)
	}
	load(t, s, "x", bad) // who says so knows
	if got := offer(first); got != first {
		t.Errorf("it means %q, want %q", got, first)
	}
}

// TestOneWinner changes one alias from several sides at once: each change was decided on what the alias meant, and only one of them finds it so.
func TestOneWinner(t *testing.T) {
	s := serveFast(t)
	load(t, s, "x", filepath.Join(restaurant, "adapter"))
	other := otherAdapter(t)
	load(t, s, "x", other)
	generation := s.alias("x").stack[0].Generation
	const sides = 6
	outcomes := make(chan error, sides)
	s.change.Lock() // all of them decide before one can begin
	for i := range sides {
		go func() {
			var err error
			switch i % 3 {
			case 0:
				_, err = s.Rollback(t.Context(), "x", "")
			case 1:
				err = s.Unload(t.Context(), "x")
			case 2:
				_, err = s.Activate(t.Context(), "x", server.GenerationName(generation[:]))
			}
			outcomes <- err
		}()
	}
	for pinned := 0; pinned < 4; { // the rollbacks and activations have their generation
		pinned = 0
		for _, r := range s.shelf.list() {
			if r.generation.digest() == generation {
				pinned = r.pins
			}
		}
	}
	sequence := s.alias("x").activation.Sequence
	s.change.Unlock()
	won := 0
	for range sides {
		switch err := <-outcomes; code(err) {
		case "":
			won++ // besides the one, only an unload that came after it
		case fault.Conflict, fault.IONotFound: // an unload that came late finds nothing
		default:
			t.Error(err)
		}
	}
	history, err := s.ledger.History(t.Context(), "x", 10)
	if err != nil {
		t.Fatal(err)
	}
	if changes := len(history) - 2; changes != won || won < 1 || won > 2 || history[0].Sequence <= sequence {
		t.Errorf("%d sides won, and %d changes were made, want the same few: %+v", won, changes, history)
	}
}

// TestRefusedSwitch has the backend refuse what the ledger has committed: it is taken back there, too, and what was live goes on.
func TestRefusedSwitch(t *testing.T) {
	s := serveFast(t)
	load(t, s, "x", filepath.Join(restaurant, "adapter"))
	before := greedy(t, s, "x")
	generation := s.alias("x").activation.Generation
	client, err := s.supervisor.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Activate(t.Context(), &backendpb.ActivateRequest{Alias: "x", Generation: generation[:], Sequence: 1 << 60}); err != nil {
		t.Fatal(err) // from here on it has heard of a later change than any
	}
	if _, err := s.Load(t.Context(), server.Load{Alias: "x", Ref: otherAdapter(t)}); err == nil {
		t.Fatal("the backend refused the switch, and the load was acknowledged")
	}
	if got := s.alias("x").activation; got.Generation != generation {
		t.Errorf("the table says %x, want %x", got.Generation, generation)
	}
	live, err := s.ledger.Live(t.Context(), s.base.Digest)
	if err != nil || len(live) != 1 || live[0].Generation != generation || live[0].Action != registry.ActionRollback {
		t.Errorf("the ledger says %+v, %v", live, err)
	}
	if got := greedy(t, s, "x"); !slices.Equal(got, before) {
		t.Errorf("it says %v, it said %v", got, before)
	}
	if n := len(s.Generations()); n != 1 {
		t.Errorf("%d generations are in memory, want one", n)
	}
	restart(t, s) // a new process has heard of nothing
	load(t, s, "x", otherAdapter(t))
	if got := greedy(t, s, "x"); slices.Equal(got, before) {
		t.Error("after that nothing can be loaded")
	}
}
