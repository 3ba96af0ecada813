package host

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/server"
)

// fullDisk is a ledger that has no room at one of its steps.
type fullDisk struct {
	ledger
	at string
}

func (d *fullDisk) no(step string) error {
	if d.at == step {
		return fault.New(fault.IOSpace, "the disk is full")
	}
	return nil
}

func (d *fullDisk) KeepAdapter(ctx context.Context, digest [32]byte, files []registry.File) error {
	if err := d.no("keep"); err != nil {
		return err
	}
	return d.ledger.KeepAdapter(ctx, digest, files)
}

func (d *fullDisk) Decide(ctx context.Context, decision registry.Decision) (int64, error) {
	if err := d.no("decide"); err != nil {
		return 0, err
	}
	return d.ledger.Decide(ctx, decision)
}

func (d *fullDisk) Commit(ctx context.Context, expected uint64, a registry.Activation) (registry.Activation, error) {
	if err := d.no("commit"); err != nil {
		return registry.Activation{}, err
	}
	return d.ledger.Commit(ctx, expected, a)
}

// TestNoRoomToRemember: what cannot be remembered is not done, what is live goes on, and all is well when there is room again.
func TestNoRoomToRemember(t *testing.T) {
	s := serveFast(t)
	disk := &fullDisk{ledger: s.ledger}
	s.ledger = disk
	first, other := filepath.Join(restaurant, "adapter"), otherAdapter(t)
	load(t, s, "x", first)
	before, live := greedy(t, s, "x"), s.alias("x")
	for _, disk.at = range []string{"keep", "decide", "commit"} {
		if _, err := s.Load(t.Context(), server.Load{Alias: "x", Ref: other}); code(err) != fault.IOSpace {
			t.Errorf("no room to %s: %v, want %s", disk.at, err, fault.IOSpace)
		}
		if s.alias("x") != live {
			t.Errorf("no room to %s, and the alias has changed", disk.at)
		}
		if n := len(s.Generations()); n != 1 {
			t.Errorf("no room to %s, and %d generations are in memory", disk.at, n)
		}
	}
	if err := s.Unload(t.Context(), "x"); code(err) != fault.IOSpace {
		t.Errorf("no room to unload: %v", err)
	}
	if got := greedy(t, s, "x"); !slices.Equal(got, before) {
		t.Errorf("it says %v, it said %v", got, before)
	}
	disk.at = ""
	load(t, s, "x", other)
	disk.at = "commit"
	if _, err := s.Rollback(t.Context(), "x", ""); code(err) != fault.IOSpace {
		t.Errorf("no room to go back: %v", err)
	}
	disk.at = ""
	if _, err := s.Rollback(t.Context(), "x", ""); err != nil {
		t.Error(err)
	}
	if got := greedy(t, s, "x"); !slices.Equal(got, before) {
		t.Errorf("after the rollback it says %v, want %v", got, before)
	}
}

// TestWhatIsRecorded follows one alias through the ledger: who did what, why it was let in, and what its tenant sees.
func TestWhatIsRecorded(t *testing.T) {
	s := serveFast(t)
	ctx := server.WithActor(t.Context(), server.Actor{Name: "key-1", Tenant: "acme"})
	loaded, err := s.Load(ctx, server.Load{Alias: "acme/x", Ref: filepath.Join(restaurant, "adapter"), Staged: true})
	if err != nil {
		t.Fatal(err)
	}
	if m := loaded.Model; m.State != server.StateStaged || m.Generation == "" {
		t.Errorf("staged it is %+v", m)
	}
	if got := s.Generations(); len(got) != 1 || got[0].State != server.StateStaged {
		t.Errorf("in memory is %+v", got)
	}
	if _, err := s.Activate(ctx, "acme/x", "sha256:00"); code(err) != fault.IONotFound {
		t.Errorf("a generation that there is none of: %v", err)
	}
	if _, err := s.Activate(ctx, "x", loaded.Model.Generation); code(err) != fault.IONotFound {
		t.Errorf("another's generation: %v", err)
	}
	history, err := s.History(ctx, "acme/x", 5)
	if err != nil || len(history) != 1 || history[0].Action != "stage" || history[0].Sequence != 0 {
		t.Fatalf("history %+v, %v", history, err)
	}
	if r, err := s.Report(ctx, "acme/x", loaded.Model.Generation); err != nil || r.Adapter.Digest != loaded.Report.Adapter.Digest {
		t.Errorf("report %v, %v", r, err)
	}
	m, err := s.Activate(ctx, "acme/x", loaded.Model.Generation)
	if err != nil || m.State != server.StateLive || m.Sequence == 0 || m.Verdict != loaded.Report.Verdict {
		t.Fatalf("%+v, %v", m, err)
	}
	history, err = s.History(ctx, "acme/x", 5)
	if err != nil || len(history) != 1 || history[0].Actor != "key-1" || history[0].State != server.StateLive || history[0].Verdict != m.Verdict {
		t.Errorf("history %+v, %v", history, err)
	}
	if _, err := s.History(ctx, "x", 5); code(err) != fault.IONotFound {
		t.Errorf("the history of nothing: %v", err)
	}
	// What one tenant has is no peer of another's.
	for tenant, want := range map[string]int{"acme": 1, "other": 0} {
		ctx := server.WithActor(t.Context(), server.Actor{Name: "k", Tenant: tenant})
		loaded, err := s.Load(ctx, server.Load{Alias: tenant + "/y", Ref: otherAdapter(t), Staged: true})
		if err != nil || len(loaded.Report.Peers) != want {
			t.Errorf("%s: peers %+v, %v, want %d", tenant, loaded.Report.Peers, err, want)
		}
	}
	var kinds []server.Kind
	for events := s.Feed().Subscribe(t.Context(), 0); len(events) > 0; {
		if e := <-events; e.Alias == "acme/x" {
			kinds = append(kinds, e.Kind)
		}
	}
	kinds = slices.DeleteFunc(kinds, func(k server.Kind) bool { return k == server.KindProgress })
	if want := []server.Kind{server.KindChecking, server.KindChecked, server.KindStaged, server.KindLive}; !slices.Equal(kinds, want) {
		t.Errorf("the feed told %q, want %q", kinds, want)
	}
}
