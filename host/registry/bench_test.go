package registry

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var (
	epoch     = time.Unix(1_700_000_000, 0)
	benchRows = flag.Int("rows", 100_000, "changes in the registry of the benchmarks; 1000000 for the figures in the documentation")
)

// benchAliases is how many aliases the changes of the benchmarks are of.
func benchAliases() int { return max(*benchRows/100, 1) }

// large makes a registry of many changes, as Repair would. It is made once.
func large(b testing.TB) string {
	dir := filepath.Join(templates, fmt.Sprint("large-", *benchRows))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	shut(b, open(b, dir))
	for _, name := range []string{DatabaseName, LogName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			b.Fatal(err)
		}
	}
	r := &Registry{dir: dir, now: func() time.Time { return epoch }, disk: realDisk}
	build := &builder{r: r, ctx: b.Context(), aliases: map[aliasKey]aliasState{}}
	if err := build.openLog(filepath.Join(dir, LogName)); err != nil {
		b.Fatal(err)
	}
	var head row
	rows := source{rows: uint64(*benchRows), walk: func(visit func(row) error) error {
		for n := range *benchRows {
			a := activation(fmt.Sprint("alias-", n%benchAliases()), n)
			e := entry{Kind: a.Action, Actor: a.Actor, Alias: a.Alias, Detail: activationDetail{Generation: a.Generation, Content: a.Content, Adapter: a.Adapter, Base: a.Base, Ref: a.Ref, Mode: a.Mode}}
			next, err := e.encode(head.sequence, head.hash, epoch)
			if err != nil {
				return err
			}
			if err := visit(next); err != nil {
				return err
			}
			head = next
		}
		return nil
	}}
	if err := buildDatabase(b.Context(), dir, filepath.Join(dir, DatabaseName), func(db *sql.DB) error { return build.fill(db, rows, &RepairReport{}) }); err != nil {
		b.Fatal(err)
	}
	if err := build.closeLog(); err != nil {
		b.Fatal(err)
	}
	return dir
}

func BenchmarkOpen(b *testing.B) {
	dir := large(b)
	for b.Loop() {
		shut(b, open(b, dir))
	}
}

func BenchmarkLive(b *testing.B) {
	r := open(b, large(b))
	for b.Loop() {
		if live, err := r.Live(b.Context(), base); err != nil || len(live) != benchAliases() {
			b.Fatal(len(live), err)
		}
	}
}

// BenchmarkPage reads a page at the far end of the audit table.
func BenchmarkPage(b *testing.B) {
	r := open(b, large(b))
	for b.Loop() {
		if rows, _, err := r.Audit(b.Context(), Page{After: "1001"}); err != nil || len(rows) != DefaultLimit {
			b.Fatal(len(rows), err)
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	r := open(b, large(b))
	for b.Loop() {
		if list, err := r.History(b.Context(), "alias-7", 50); err != nil || len(list) != 50 {
			b.Fatal(len(list), err)
		}
	}
}

func BenchmarkVerifyAudit(b *testing.B) {
	dir := large(b)
	for b.Loop() {
		intact(b, dir)
	}
}

func BenchmarkCommit(b *testing.B) {
	r := open(b, b.TempDir())
	at := uint64(0)
	for b.Loop() {
		done, err := r.Commit(b.Context(), at, activation("x", int(at)))
		if err != nil {
			b.Fatal(err)
		}
		at = done.Sequence
	}
}

func BenchmarkKeepAdapter(b *testing.B) {
	r := open(b, b.TempDir())
	data := bytes.Repeat([]byte("weights "), 1<<20)
	files := adapterFiles(0)
	files[1] = File{Name: files[1].Name, Data: bytes.NewReader(data), Size: int64(len(data)), SHA256: sha256.Sum256(data)}
	b.SetBytes(int64(len(data)))
	for n := 0; b.Loop(); n++ {
		if err := r.KeepAdapter(b.Context(), adapterDigest(n), files); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLarge opens a registry of many changes, and lists it: the benchmarks tell how long it takes.
func TestLarge(t *testing.T) {
	*benchRows = min(*benchRows, 5000)
	r := open(t, large(t))
	live, err := r.Live(t.Context(), base)
	if err != nil || len(live) != benchAliases() {
		t.Errorf("%d live, %v", len(live), err)
	}
	intact(t, r.Dir())
}
