package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// TestFailingDisk has one step of the store fail: nothing of the adapter is there, and the next try succeeds.
func TestFailingDisk(t *testing.T) {
	for _, reason := range []error{syscall.EIO, syscall.EDQUOT, syscall.EROFS, syscall.ENOSPC, syscall.EMFILE} {
		want := fault.IOWrite
		if reason == syscall.EDQUOT || reason == syscall.ENOSPC {
			want = fault.IOSpace
		}
		for name, fail := range map[string]func(*disk){
			"a write": func(d *disk) {
				d.create = func(path string, fill func(io.Writer) error) error {
					return durable.Create(path, func(w io.Writer) error { return errors.Join(fill(w), reason) })
				}
			},
			"publishing": func(d *disk) { d.publish = func(work, out string) error { return durable.Fault(out, reason) } },
			"the second file": func(d *disk) {
				n := 0
				d.create = func(path string, fill func(io.Writer) error) error {
					if n++; n == 2 {
						return durable.Fault(path, reason)
					}
					return durable.Create(path, fill)
				}
			},
		} {
			t.Run(fmt.Sprint(name, " ", reason), func(t *testing.T) {
				r := open(t, t.TempDir())
				fail(&r.disk)
				if err := r.KeepAdapter(t.Context(), adapterDigest(1), adapterFiles(1)); code(err) != want {
					t.Errorf("%v, want %s", err, want)
				}
				if _, err := r.AdapterDir(adapterDigest(1)); code(err) != fault.RegMissing {
					t.Errorf("half of it is there: %v", err)
				}
				if left := names(t, r.Dir(), incomingName); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
				r.disk = realDisk
				if err := r.KeepAdapter(t.Context(), adapterDigest(1), adapterFiles(1)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestKeptIsSynced keeps an adapter that is in the store. Whoever put it there may have been killed before the disk knew.
func TestKeptIsSynced(t *testing.T) {
	r := open(t, t.TempDir())
	if err := r.KeepAdapter(t.Context(), adapterDigest(1), adapterFiles(1)); err != nil {
		t.Fatal(err)
	}
	var synced []string
	r.disk.syncDir = func(dir string) error { synced = append(synced, dir); return durable.Fault(dir, syscall.EIO) }
	if err := r.KeepAdapter(t.Context(), adapterDigest(1), adapterFiles(1)); code(err) != fault.IOWrite || len(synced) != 1 || synced[0] != r.path(adaptersName) {
		t.Errorf("%v, and %q were synced", err, synced)
	}
	r.disk = realDisk
	if err := r.KeepAdapter(t.Context(), adapterDigest(1), adapterFiles(1)); err != nil {
		t.Error(err)
	}
}

// TestFailedSyncOfLog has the audit log's sync fail after a change was decided. The change stands; there is no further one until the registry
// is opened again, which finds the row.
func TestFailedSyncOfLog(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	r.journal.sync = func(*os.File) error { return syscall.EIO }
	done, err := r.Commit(t.Context(), 0, activation("x", 1))
	if err != nil {
		t.Fatal(err)
	}
	r.journal.sync = (*os.File).Sync
	for range 2 {
		if _, err := r.Commit(t.Context(), done.Sequence, activation("x", 2)); code(err) != fault.IOWrite {
			t.Errorf("after a failed sync: %v", err)
		}
		if _, err := r.Decide(t.Context(), decision(1)); code(err) != fault.IOWrite {
			t.Errorf("after a failed sync: %v", err)
		}
	}
	if live, err := r.Live(t.Context(), base); err != nil || len(live) != 1 {
		t.Errorf("live %v, %v", live, err)
	}
	shut(t, r)
	r = open(t, dir)
	if _, err := r.Commit(t.Context(), done.Sequence, activation("x", 2)); err != nil {
		t.Error(err)
	}
	intact(t, dir)
}

// TestStore keeps adapters that are what was promised, and none that is not.
func TestStore(t *testing.T) {
	ctx, r := t.Context(), open(t, t.TempDir())
	keep := func(n int, edit func([]File) []File) error {
		return r.KeepAdapter(ctx, adapterDigest(n), edit(adapterFiles(n)))
	}
	rename := func(name string) func([]File) []File {
		return func(f []File) []File { f[0].Name = name; return f }
	}
	for name, c := range map[string]struct {
		edit func([]File) []File
		want fault.Code
	}{
		"other bytes":   {func(f []File) []File { f[1].SHA256[0]++; return f }, fault.DigestBad},
		"fewer bytes":   {func(f []File) []File { f[1].Size++; return f }, fault.DigestBad},
		"more bytes":    {func(f []File) []File { f[1].Size--; return f }, fault.DigestBad},
		"outside":       {rename("../x"), fault.BSPath},
		"absolute":      {rename("/x"), fault.BSPath},
		"dot":           {rename("."), fault.BSPath},
		"not clean":     {rename("a//b"), fault.BSPath},
		"no name":       {rename(""), fault.BSPath},
		"twice":         {rename("adapter_model.safetensors"), fault.BSPath},
		"negative size": {func(f []File) []File { f[0].Size = -1; return f }, fault.BSPath},
		"unreadable":    {func(f []File) []File { f[0].Data = failingReader{}; return f }, fault.IORead},
	} {
		if err := keep(1, c.edit); code(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := append(names(t, r.Dir(), adaptersName), names(t, r.Dir(), incomingName)...); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	as := func(f []File) []File { return f }
	for range 2 { // the second time it is there
		if err := keep(1, as); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := r.AdapterDir(adapterDigest(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"a bit":    func() error { return os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte("x"), 0o600) },
		"a file":   func() error { return os.Remove(filepath.Join(dir, "adapter_config.json")) },
		"one more": func() error { return os.WriteFile(filepath.Join(dir, "more"), nil, 0o600) },
		"a link": func() error {
			return errors.Join(os.Remove(filepath.Join(dir, "adapter_config.json")), os.Symlink("/dev/zero", filepath.Join(dir, "adapter_config.json")))
		},
		"a manifest": func() error { return os.Remove(dir + manifestSuffix) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		before := len(names(t, r.Dir(), quarantineName))
		if err := keep(1, as); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := checkKept(r, 1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if after := len(names(t, r.Dir(), quarantineName)); after != before+1 {
			t.Errorf("%s: %d in quarantine, and there were %d", name, after, before)
		}
	}
	if err := r.Discard(ctx, adapterDigest(1)); err != nil {
		t.Error(err)
	}
	if _, err := r.AdapterDir(adapterDigest(1)); code(err) != fault.RegMissing {
		t.Error(err)
	}
	if err := r.Discard(ctx, adapterDigest(1)); err != nil {
		t.Error(err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.KeepAdapter(canceled, adapterDigest(2), adapterFiles(2)); code(err) != fault.Canceled {
		t.Errorf("canceled: %v", err)
	}
	if _, err := r.Commit(canceled, 0, activation("x", 1)); code(err) != fault.Canceled {
		t.Errorf("canceled: %v", err)
	}
	id, err := r.Decide(ctx, decision(1))
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(r.Dir(), reportsName, names(t, r.Dir(), reportsName)[0])
	if err := os.WriteFile(report, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decision(ctx, id); code(err) != fault.RegMissing {
		t.Errorf("a report that was edited: %v", err)
	}
	if id, err = r.Decide(ctx, decision(1)); err != nil {
		t.Fatal(err)
	}
	if d, err := r.Decision(ctx, id); err != nil || !bytes.Equal(d.Report, decision(1).Report) {
		t.Errorf("written again: %v", err)
	}
}

type failingReader struct{}

func (failingReader) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }
