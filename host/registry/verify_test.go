package registry

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// storyRows is how many rows tell makes.
const storyRows = 10

// tell fills a directory with a registry: a start, three decisions, five changes of three aliases, an unload. It is written once, and copied.
func tell(t testing.TB, dir string) { copyOf(t, dir, "story", tellOnce) }

func tellOnce(t testing.TB, dir string) {
	t.Helper()
	ctx, r := t.Context(), open(t, dir)
	for n := range 3 {
		if _, err := r.Decide(ctx, decision(n)); err != nil {
			t.Fatal(err)
		}
		if err := r.KeepAdapter(ctx, adapterDigest(n), adapterFiles(n)); err != nil {
			t.Fatal(err)
		}
	}
	at := map[string]uint64{}
	for n, alias := range []string{"x", "y", "x", "x", "y", "z"} {
		a := activation(alias, n%3)
		if n == 4 {
			a = Activation{Alias: alias, Action: ActionUnload, Base: base}
		}
		done, err := r.Commit(ctx, at[alias], a)
		if err != nil {
			t.Fatal(err)
		}
		at[alias] = done.Sequence
	}
	shut(t, r)
}

// tamper opens the database as somebody with an SQLite shell would, and makes the schema what it was when they are done.
func tamper(t testing.TB, dir string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var triggers []string
	for _, s := range schema {
		if s.kind == "trigger" {
			triggers = append(triggers, s.sql)
			statements = append([]string{"DROP TRIGGER " + s.name}, statements...)
		}
	}
	for _, statement := range append(statements, triggers...) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// editLog changes the audit log.
func editLog(t testing.TB, dir string, edit func(lines [][]byte) [][]byte) {
	t.Helper()
	path := filepath.Join(dir, LogName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte{'\n'})
	if err := os.WriteFile(path, bytes.Join(edit(lines[:len(lines)-1]), nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTampering edits, removes and moves rows, and wants the first of them found.
func TestTampering(t *testing.T) {
	cutLog := func(n int) func([][]byte) [][]byte {
		return func(lines [][]byte) [][]byte { return lines[:len(lines)-n] }
	}
	for _, c := range []struct {
		name    string
		sql     []string
		log     func([][]byte) [][]byte
		row     uint64
		problem string
	}{
		{name: "nothing"},
		{"edited", []string{`UPDATE audit SET record = replace(record, '"actor":"somebody"', '"actor":"nobody"') WHERE sequence = 3`}, nil, 3, "edited"},
		{"edited, first row", []string{`UPDATE audit SET record = replace(record, '"host"', '"toast"') WHERE sequence = 1`}, nil, 1, "edited"},
		{"edited, last row", []string{`UPDATE audit SET record = replace(record, 'somebody', 'nobody') WHERE sequence = 10`}, nil, storyRows, "edited"},
		{"other hash", []string{`UPDATE audit SET hash = zeroblob(32) WHERE sequence = 4`}, nil, 4, "edited"},
		{"longer hash", []string{`UPDATE audit SET hash = CAST(hash || x'00' AS BLOB) WHERE sequence = 4`}, nil, 4, "edited"},
		{"removed", []string{`DELETE FROM audit WHERE sequence = 2`}, nil, 2, "gone"},
		{"removed and closed up", []string{`DELETE FROM audit WHERE sequence = 2`, `UPDATE audit SET sequence = sequence - 1 WHERE sequence > 2`, `UPDATE aliases SET sequence = sequence - 1`}, nil, 2, "edited"},
		{"reordered", []string{`UPDATE audit SET sequence = 99 WHERE sequence = 3`, `UPDATE audit SET sequence = 3 WHERE sequence = 4`, `UPDATE audit SET sequence = 4 WHERE sequence = 99`}, nil, 3, "edited"},
		{"tail cut", []string{`DELETE FROM audit WHERE sequence > 8`, `UPDATE aliases SET sequence = 6, live = 1 WHERE alias = 'y'`, `DELETE FROM aliases WHERE alias = 'z'`}, nil, 9, "gone"},
		{"tail cut and its log", []string{`DELETE FROM audit WHERE sequence > 8`}, cutLog(2), 9, "is not what alias"},
		{"all cut", []string{`DELETE FROM aliases`, `DELETE FROM audit`}, nil, 1, "gone"},
		{"columns", []string{`UPDATE audit SET tenant = 'other' WHERE sequence = 2`}, nil, 2, "columns"},
		{"alias moved back", []string{`UPDATE aliases SET sequence = 5 WHERE alias = 'x'`}, nil, 8, "is not what alias"},
		{"alias gone", []string{`DELETE FROM aliases WHERE alias = 'z'`}, nil, 10, "alias is gone"},
		{"alias of another base", []string{`UPDATE aliases SET base = zeroblob(32) WHERE alias = 'z'`}, nil, 10, "is not what alias"},
		{"unloaded alias lives", []string{`UPDATE aliases SET live = 1 WHERE alias = 'y'`}, nil, 9, "is not what alias"},
		{"longer base", []string{`UPDATE aliases SET base = CAST(base || x'00' AS BLOB) WHERE alias = 'z'`}, nil, 10, "is not what alias"},
		{"no base", []string{`UPDATE aliases SET base = x'' WHERE alias = 'z'`}, nil, 10, "is not what alias"},
		{"live twice", []string{`UPDATE aliases SET live = 2 WHERE alias = 'x'`}, nil, 8, "is not what alias"},
		{"live to no end", []string{`UPDATE aliases SET live = -1 WHERE alias = 'z'`}, nil, 10, "is not what alias"},
		{"alias at no row", []string{`UPDATE aliases SET sequence = -1 WHERE alias = 'x'`}, nil, 8, "is not what alias"},
		{"log edited", nil, func(lines [][]byte) [][]byte {
			lines[3] = bytes.Replace(lines[3], []byte("somebody"), []byte("nobody"), 1)
			return lines
		}, 4, "log"},
		{"log line removed", nil, func(lines [][]byte) [][]byte { return append(lines[:3], lines[4:]...) }, 4, "log"},
		{"log line is none", nil, func(lines [][]byte) [][]byte { lines[5] = []byte("hello\n"); return lines }, 6, "log"},
		{"log cut", nil, cutLog(5), 6, "log"},
		{"log emptied", nil, cutLog(storyRows), 1, "log"},
		{"row and log edited alike", []string{`UPDATE audit SET record = replace(record, 'somebody', 'nobody') WHERE sequence = 3`}, func(lines [][]byte) [][]byte {
			lines[2] = bytes.Replace(lines[2], []byte("somebody"), []byte("nobody"), 1)
			return lines
		}, 3, "edited"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			tell(t, dir)
			if c.sql != nil {
				tamper(t, dir, c.sql...)
			}
			if c.log != nil {
				editLog(t, dir, c.log)
			}
			report, err := VerifyAuditDir(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if c.row == 0 {
				if !report.Intact || report.Rows != storyRows {
					t.Errorf("%+v %+v", report, report.Bad)
				}
				return
			}
			if report.Intact || report.Bad == nil || report.Bad.Sequence != c.row || !strings.Contains(report.Bad.Problem, c.problem) {
				t.Errorf("%+v %+v, want row %d that %s", report, report.Bad, c.row, c.problem)
			}
			// A short table is all in the window that Open looks at, so a host does not start on it either. Columns are for the lists.
			if r, err := Open(t.Context(), Options{Dir: dir}); err == nil {
				r.Close()
				if c.name != "columns" && c.name != "alias moved back" && c.name != "alias gone" && !strings.HasPrefix(c.name, "log ") {
					t.Error("it opens")
				}
			} else if code(err) != fault.RegCorrupt || !strings.Contains(err.Error(), "registry repair --from-store") {
				t.Error(err)
			}
		})
	}
}

// TestVerifyBesideCommits has a host make changes after the log's size was taken and before the table is looked at. That is no tampering;
// the end of the table cut meanwhile is.
func TestVerifyBesideCommits(t *testing.T) {
	for _, cut := range []bool{false, true} {
		dir := t.TempDir()
		tell(t, dir)
		v := &verification{ctx: t.Context(), dir: dir, chain: chainFrom(0), last: map[aliasKey]aliasState{}}
		log, err := v.openLog()
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		r := open(t, dir) // adds a row
		for n := range 5 * maxBehind {
			if _, err := r.Decide(t.Context(), decision(n)); err != nil {
				t.Fatal(err)
			}
		}
		shut(t, r)
		if cut {
			tamper(t, dir, fmt.Sprintf("DELETE FROM audit WHERE sequence > %d", storyRows-1), fmt.Sprintf("DELETE FROM aliases WHERE sequence > %d", storyRows-1))
		}
		report, err := v.compare()
		switch {
		case err != nil:
			t.Error(err)
		case !cut && (!report.Intact || report.Rows != storyRows+1+5*maxBehind):
			t.Errorf("%+v, %+v", report, report.Bad)
		case cut && (report.Intact || report.Bad.Sequence != storyRows):
			t.Errorf("the end is cut: %+v, %+v", report, report.Bad)
		}
	}
}

// TestTriggers wants the table to refuse what never happens to it.
func TestTriggers(t *testing.T) {
	dir := t.TempDir()
	tell(t, dir)
	db, err := sql.Open("sqlite", filepath.Join(dir, DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		`UPDATE audit SET record = '{}' WHERE sequence = 2`,
		`DELETE FROM audit WHERE sequence = 10`,
		`INSERT INTO audit VALUES (12, 'host', '', '', '{}', x'')`,
		`INSERT INTO audit VALUES (5, 'host', '', '', '{}', x'')`,
		`INSERT OR REPLACE INTO audit VALUES (10, 'host', '', '', '{}', x'')`,
	} {
		if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), "rows of the audit table are") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	intact(t, dir)
}

func TestVerifyOfNoRegistry(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if _, err := VerifyAuditDir(t.Context(), dir); code(err) != fault.IONotFound {
			t.Error(err)
		}
		if _, err := Repair(t.Context(), dir); code(err) != fault.IONotFound {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("made %v", left)
		}
	}
}
