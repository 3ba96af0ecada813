package registry

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// crashed leaves a directory as a host that was killed leaves it: the last changes are in SQLite's write-ahead log only.
func crashed(t testing.TB, dir string) { copyOf(t, dir, "crashed", crashedOnce) }

func crashedOnce(t testing.TB, dir string) {
	t.Helper()
	tell(t, dir)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"=write", "REGISTRY_DIR="+dir, "TENON_CRASH_AT=registry.commit.logged:9")
	if output, err := child.CombinedOutput(); err == nil {
		t.Fatalf("the child was not killed: %s", output)
	}
	if _, err := os.Stat(filepath.Join(dir, DatabaseName+"-wal")); err != nil {
		t.Fatal(err)
	}
}

// rewrite changes a file of a directory.
func rewrite(t testing.TB, dir, name string, edit func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, edit(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamage damages what a data directory holds. Open says so and what to do, and a repair brings back all that is live.
func TestDamage(t *testing.T) {
	remove := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	edit := func(edit func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) { rewrite(t, dir, DatabaseName, edit) }
	}
	put := func(text string) func(*testing.T, string) { return edit(func([]byte) []byte { return []byte(text) }) }
	setField := func(at int, value uint32) func(*testing.T, string) {
		return edit(func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], value); return b })
	}
	for _, c := range []struct {
		name   string
		damage func(*testing.T, string)
		want   fault.Code
	}{
		{"database deleted", remove(DatabaseName), fault.RegCorrupt},
		{"database and its log deleted", remove(DatabaseName, DatabaseName+"-wal", DatabaseName+"-shm"), fault.RegCorrupt},
		{"write-ahead log deleted", remove(DatabaseName+"-wal", DatabaseName+"-shm"), fault.RegCorrupt},
		{"audit log deleted", remove(LogName), fault.RegCorrupt},
		{"truncated to nothing", put(""), fault.RegCorrupt},
		{"truncated in the header", edit(func(b []byte) []byte { return b[:50] }), fault.RegCorrupt},
		{"truncated after a page", func(t *testing.T, dir string) {
			remove(DatabaseName+"-wal")(t, dir)
			edit(func(b []byte) []byte { return b[:4096] })(t, dir)
		}, fault.RegCorrupt},
		{"another file", put(strings.Repeat("not a database ", 1000)), fault.RegCorrupt},
		{"zeros", put(strings.Repeat("\x00", 40960)), fault.RegCorrupt},
		{"another program's database", setField(68, 7), fault.RegCorrupt},
		{"newer", setField(60, schemaVersion+1), fault.RegNewer},
		{"a directory", func(t *testing.T, dir string) {
			remove(DatabaseName)(t, dir)
			if err := os.Mkdir(filepath.Join(dir, DatabaseName), 0o700); err != nil {
				t.Fatal(err)
			}
		}, fault.RegCorrupt},
		{"a link", func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, DatabaseName), filepath.Join(dir, "elsewhere")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("elsewhere", filepath.Join(dir, DatabaseName)); err != nil {
				t.Fatal(err)
			}
		}, fault.RegCorrupt},
		{"a trigger dropped", func(t *testing.T, dir string) { tamper(t, dir, "CREATE VIEW v AS SELECT 1") }, fault.RegCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			crashed(t, dir)
			before := intact(t, dir)
			c.damage(t, dir)
			r, err := Open(t.Context(), Options{Dir: dir})
			if err == nil {
				r.Close()
				t.Fatal("it opens")
			}
			e := fault.All(err)
			if len(e) == 0 || e[0].Code != c.want || e[0].Remedy == "" {
				t.Fatalf("%v, want %s", err, c.want)
			}
			if c.want == fault.RegNewer || c.name == "a directory" {
				return // nothing to repair, or nothing that a program may move
			}
			report, err := Repair(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if report.Rows != before.Rows+1 || report.Quarantined != 0 || report.Aliases != 2 {
				t.Errorf("repaired %+v, and there were %d rows", report, before.Rows)
			}
			after := open(t, dir)
			live, err := after.Live(t.Context(), base)
			if err != nil || len(live) != 2 || live[0].Alias != "x" || live[1].Alias != "z" {
				t.Errorf("live %+v, %v", live, err)
			}
			intact(t, dir)
			if len(names(t, report.Aside, ".")) == 0 {
				t.Error("nothing was kept aside")
			}
		})
	}
}

// TestRandomPages writes over random bytes of the database. Either a host refuses it, or all that it says is true.
func TestRandomPages(t *testing.T) {
	original := t.TempDir()
	tell(t, original)
	text, err := os.ReadFile(filepath.Join(original, DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(original, LogName))
	if err != nil {
		t.Fatal(err)
	}
	truth := map[string]bool{}
	ask := func(r *Registry) []string {
		var said []string
		live, err := r.Live(t.Context(), base)
		said = append(said, fmt.Sprintf("live %d %v", len(live), code(err)))
		for _, a := range live {
			said = append(said, fmt.Sprintf("%+v", a))
		}
		rows, _, err := r.Audit(t.Context(), Page{})
		for _, row := range rows[:max(len(rows)-1, 0)] {
			if row.Kind != KindStart {
				said = append(said, fmt.Sprintf("%+v", row))
			}
		}
		return append(said, string(code(err)))
	}
	r := open(t, original)
	for _, s := range ask(r) {
		truth[s] = true
	}
	truth[string(fault.RegCorrupt)], truth["live 0 REG_CORRUPT"] = true, true
	shut(t, r)
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for n := range 60 {
		dir := t.TempDir()
		damaged := bytes.Clone(text)
		at := random.IntN(len(damaged))
		for i := range 1 + random.IntN(64) {
			damaged[(at+i)%len(damaged)] ^= byte(1 + random.IntN(255))
		}
		for name, content := range map[string][]byte{DatabaseName: damaged, LogName: log} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := Open(t.Context(), Options{Dir: dir})
		if err != nil {
			refused++
			if !strings.HasPrefix(string(code(err)), "REG_") {
				t.Errorf("%d, byte %d: %v", n, at, err)
			}
			continue
		}
		for _, s := range ask(r) {
			if !truth[s] {
				t.Errorf("%d, byte %d: it says %s", n, at, s)
			}
		}
		shut(t, r)
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// TestRepairFromReports has neither a database nor a log: the reports tell what was decided.
func TestRepairFromReports(t *testing.T) {
	dir := t.TempDir()
	tell(t, dir)
	for _, name := range []string{DatabaseName, LogName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, reportsName, "00.json"), []byte("not a report"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, adaptersName, digest(adapterDigest(1)).hex(), "adapter_config.json")
	if err := os.WriteFile(broken, []byte("bits that rotted"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); code(err) != fault.RegCorrupt {
		t.Errorf("without a database: %v", err)
	}
	report, err := Repair(t.Context(), dir)
	if err != nil || report.Source != "" || report.Reports != 3 || report.Adapters != 2 || report.Quarantined != 2 || report.Aliases != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	r := open(t, dir)
	list, _, err := r.Decisions(t.Context(), Page{})
	if err != nil || len(list) != 3 || list[0].Actor != "repair" || list[0].Adapter != "sha256:aa" || list[0].Verdict != "admit" {
		t.Errorf("%+v, %v", list, err)
	}
	if d, err := r.Decision(t.Context(), list[0].ID); err != nil || !bytes.Contains(d.Report, []byte("tenon.report/v1")) {
		t.Errorf("%+v, %v", d, err)
	}
	intact(t, dir)
}

// TestRepairOfTornLog takes the rows from the database where it has more than the log.
func TestRepairOfTornLog(t *testing.T) {
	dir := t.TempDir()
	tell(t, dir)
	editLog(t, dir, func(lines [][]byte) [][]byte { lines[4] = []byte("damaged\n"); return lines })
	report, err := Repair(t.Context(), dir)
	if err != nil || report.Source != DatabaseName || report.Rows != storyRows+1 || report.Problem != "" {
		t.Fatalf("%+v, %v", report, err)
	}
	tamper(t, dir, `UPDATE audit SET record = '{}' WHERE sequence = 7`)
	editLog(t, dir, func(lines [][]byte) [][]byte { lines[8] = []byte("damaged\n"); return lines })
	report, err = Repair(t.Context(), dir)
	if err != nil || report.Source != LogName || report.Rows != 9 || report.Problem == "" {
		t.Fatalf("%+v, %v", report, err)
	}
	shut(t, open(t, dir))
	intact(t, dir)
}

// TestTornLine ends the log in the middle of the last line, as a crash may.
func TestTornLine(t *testing.T) {
	for keep, want := range map[int]fault.Code{storyRows - 1: "", storyRows - 2: "", storyRows - 3: fault.RegCorrupt} {
		dir := t.TempDir()
		tell(t, dir)
		editLog(t, dir, func(lines [][]byte) [][]byte { return append(lines[:keep:keep], lines[keep][:20]) })
		r, err := Open(t.Context(), Options{Dir: dir})
		if code(err) != want {
			t.Errorf("%d lines and a part: %v", keep, err)
		}
		if err == nil {
			shut(t, r)
			if report := intact(t, dir); report.Rows != storyRows+1 {
				t.Errorf("%+v", report)
			}
		}
	}
}
