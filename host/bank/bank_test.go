package bank

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

var _ gate.Bank = (*Bank)(nil)

func sum(name string) [32]byte { return sha256.Sum256([]byte(name)) }

func digestText(name string) string {
	s := sum(name)
	return "sha256:" + hex.EncodeToString(s[:])
}

// checked is a report on an adapter with features of the adapter as a whole, and of one target.
func checked(name string, values ...report.Number) *report.Report {
	return &report.Report{Verdict: report.Admit, Adapter: report.Adapter{Ref: "dir/" + name, Digest: digestText(name), Rank: []int{8}, Parameters: 100},
		Base: report.Base{Ref: "base", Digest: digestText("base")}, Policy: report.Policy{Name: "default"},
		Modules: []report.Module{{ID: "anomaly", Version: "1.2.0"}},
		Grids: []report.Grid{
			{Module: "anomaly", Name: "features", Rows: 1, Cols: len(values), Values: [][]report.Number{values}},
			{Module: "anomaly", Name: "features", Target: "q.weight", Rows: 1, Cols: 1, Values: [][]report.Number{{values[0]}}},
			{Module: "anomaly", Name: "other", Rows: 1, Cols: 1, Values: [][]report.Number{{7}}},
		}}
}

func add(t *testing.T, dir string, r *report.Report) bool {
	t.Helper()
	entry, err := NewEntry(r, "a note", "")
	if err != nil {
		t.Fatal(err)
	}
	added, err := Add(dir, entry)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func opened(t *testing.T, dir string) *Bank {
	t.Helper()
	b, err := Open(dir, sum("base"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBank(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bank")
	if !add(t, dir, checked("one", 1, 2, report.Number(math.NaN()))) || !add(t, dir, checked("two", 3, 4, 5)) {
		t.Error("nothing was added")
	}
	b := opened(t, dir)
	want := []string{digestText("one"), digestText("two")}
	slices.Sort(want)
	if !slices.Equal(b.Names(), want) {
		t.Errorf("names %v", b.Names())
	}
	one, two := slices.Index(want, digestText("one")), slices.Index(want, digestText("two"))
	rows := b.Features("anomaly", "1.2.0", "")
	if len(rows) != 2 || rows[one][0] != 1 || !math.IsNaN(rows[one][2]) || !slices.Equal(rows[two], []float64{3, 4, 5}) {
		t.Errorf("rows %v", rows)
	}
	if rows := b.Features("anomaly", "1.2.0", "q.weight"); rows[two][0] != 3 {
		t.Errorf("rows of a target %v", rows)
	}
	for _, nobody := range [][][]float64{b.Features("anomaly", "1.3.0", ""), b.Features("anomaly", "1.2.0", "v.weight"), b.Features("other", "1.2.0", "")} {
		if len(nobody) != 2 || nobody[0] != nil || nobody[1] != nil {
			t.Errorf("what nobody reported: %v", nobody)
		}
	}
	if e := b.Entries()[one]; e.Note != "a note" || e.Adapter.Ref != "dir/one" || e.Verdict != report.Admit {
		t.Errorf("entry %+v", e)
	}

	// The same adapter again changes nothing; a newer module replaces the entry.
	before := b.Digest()
	if add(t, dir, checked("one", 1, 2, report.Number(math.NaN()))) || opened(t, dir).Digest() != before {
		t.Error("the same adapter changed the bank")
	}
	newer := checked("one", 1, 2, 3)
	newer.Modules[0].Version = "1.3.0"
	if !add(t, dir, newer) || opened(t, dir).Digest() == before {
		t.Error("what a newer module remembers was not stored")
	}
	if rows := opened(t, dir).Features("anomaly", "1.3.0", ""); rows[one][2] != 3 || rows[two] != nil {
		t.Errorf("rows %v", rows)
	}

	// Another base knows nothing of it.
	other, err := Open(dir, sum("other"))
	if err != nil || len(other.Names()) != 0 || other.Digest() != Empty(sum("other")).Digest() {
		t.Errorf("another base: %v, %v", other, err)
	}
	if bases, err := Bases(dir); err != nil || !slices.Equal(bases, [][32]byte{sum("base")}) {
		t.Errorf("bases %x, %v", bases, err)
	}

	removed, err := Remove(dir, strings.ToUpper(strings.TrimPrefix(digestText("one"), "sha256:")[:12]))
	if err != nil || removed != digestText("one") || !slices.Equal(opened(t, dir).Names(), []string{digestText("two")}) {
		t.Errorf("removed %s, %v", removed, err)
	}
	for digest, class := range map[string]fault.Class{digestText("one"): fault.Operational, "abc": fault.Usage, "zzzzzzzz": fault.Usage} {
		if _, err := Remove(dir, digest); fault.ClassOf(err) != class {
			t.Errorf("remove %s: %v", digest, err)
		}
	}
}

// TestBytesAreTheAdapters adds in two orders: the bank is the same.
func TestBytesAreTheAdapters(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		add(t, first, checked(name, 1))
	}
	for _, name := range []string{"c", "a", "b"} {
		add(t, second, checked(name, 1))
	}
	if opened(t, first).Digest() != opened(t, second).Digest() {
		t.Error("the order of adding shows")
	}
}

func TestWhatIsNotAdded(t *testing.T) {
	denied, failed, silent := checked("x", 1), checked("x", 1), checked("x", 1)
	denied.Verdict, failed.Verdict, silent.Grids = report.Deny, report.Inconclusive, nil
	for name, c := range map[string]struct {
		r     *report.Report
		class fault.Class
	}{"denied": {denied, fault.Usage}, "failed": {failed, fault.Inconclusive}, "silent": {silent, fault.Usage}} {
		if _, err := NewEntry(c.r, "", ""); fault.ClassOf(err) != c.class {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e, err := NewEntry(denied, "", "known since May"); err != nil || e.Override != "known since May" {
		t.Errorf("forced: %+v, %v", e, err)
	}
	if _, err := NewEntry(failed, "", "known since May"); err == nil {
		t.Error("what did not run was forced")
	}
	if _, err := NewEntry(checked("x", 1), strings.Repeat("x", maxText+1), ""); fault.ClassOf(err) != fault.Usage {
		t.Errorf("a long note: %v", err)
	}
}

// TestHostileBanks puts what does not belong into a bank: each is refused by its name, all in one go.
func TestHostileBanks(t *testing.T) {
	good, err := NewEntry(checked("good", 1, 2), "", "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := good.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(digestText("good"), "sha256:") + ".json"
	other := strings.TrimPrefix(digestText("other"), "sha256:") + ".json"
	for _, c := range []struct {
		title string
		make  func(folder string) error
		place string // in the message
	}{
		{"a stranger", func(folder string) error { return os.WriteFile(filepath.Join(folder, "README"), nil, 0o644) }, "README"},
		{"not JSON", func(folder string) error { return os.WriteFile(filepath.Join(folder, name), []byte("{"), 0o644) }, name},
		{"empty", func(folder string) error { return os.WriteFile(filepath.Join(folder, name), nil, 0o644) }, name},
		{"another's name", func(folder string) error { return os.WriteFile(filepath.Join(folder, other), text, 0o644) }, "/adapter/digest"},
		{"a key twice", func(folder string) error {
			return os.WriteFile(filepath.Join(folder, name), bytes.Replace(text, []byte(`"features"`), []byte(`"verdict":"admit","features"`), 1), 0o644)
		}, name},
		{"an unknown key", func(folder string) error {
			return os.WriteFile(filepath.Join(folder, name), bytes.Replace(text, []byte(`{`), []byte(`{"x":1,`), 1), 0o644)
		}, name},
		{"another schema", func(folder string) error {
			return os.WriteFile(filepath.Join(folder, name), bytes.Replace(text, []byte("bank/v1"), []byte("bank/v9"), 1), 0o644)
		}, "/schemaVersion"},
		{"features twice", func(folder string) error {
			return os.WriteFile(filepath.Join(folder, name), bytes.Replace(text, []byte("q.weight"), nil, 1), 0o644)
		}, "twice"},
		{"a folder", func(folder string) error { return os.Mkdir(filepath.Join(folder, name), 0o755) }, name},
		{"a FIFO", func(folder string) error { return syscall.Mkfifo(filepath.Join(folder, name), 0o644) }, name},
		{"a link out", func(folder string) error { return os.Symlink("/etc/passwd", filepath.Join(folder, name)) }, name},
		{"too large", func(folder string) error {
			path := filepath.Join(folder, name)
			if err := os.WriteFile(path, text, 0o644); err != nil {
				return err
			}
			return os.Truncate(path, maxEntry+1)
		}, name},
		{"other widths", func(folder string) error {
			if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
				return err
			}
			wide, err := NewEntry(checked("other", 1, 2, 3), "", "")
			if err != nil {
				return err
			}
			wideText, err := wide.Marshal()
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(folder, other), wideText, 0o644)
		}, "in another entry"},
	} {
		t.Run(c.title, func(t *testing.T) {
			dir := t.TempDir()
			into := folder(dir, sum("base"))
			if err := os.Mkdir(into, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := c.make(into); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, sum("base"))
			list := fault.All(err)
			if len(list) == 0 || !strings.Contains(err.Error(), c.place) || fault.ClassOf(err) == fault.Rejected {
				t.Fatalf("%v", err)
			}
			for _, e := range list {
				if e.Remedy == "" {
					t.Errorf("no remedy: %v", e)
				}
			}
			if entries, err := os.ReadDir(into); err == nil && fileName.MatchString(entries[0].Name()) && c.title != "a folder" {
				if _, err := Remove(dir, strings.TrimSuffix(entries[0].Name(), ".json")); err != nil {
					t.Errorf("it cannot be removed: %v", err)
				}
			}
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Bases(dir); fault.All(err)[0].Code != Invalid {
		t.Errorf("a stranger beside the folders: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "nowhere"), sum("base")); fault.ClassOf(err) != fault.Operational {
		t.Errorf("no bank: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "notes.txt"), sum("base")); fault.ClassOf(err) != fault.Usage {
		t.Errorf("a file: %v", err)
	}
}

// TestLeftovers has what a crash leaves behind, and an entry that was damaged: adding the adapter again repairs it.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	add(t, dir, checked("one", 1))
	path := filepath.Join(folder(dir, sum("base")), strings.TrimPrefix(digestText("one"), "sha256:")+".json")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"12345"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := opened(t, dir).Digest()
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !add(t, dir, checked("one", 1)) || opened(t, dir).Digest() != want {
		t.Error("the entry was not repaired")
	}
}

func FuzzParseEntry(f *testing.F) {
	entry, err := NewEntry(checked("one", 1, 2), "note", "")
	if err != nil {
		f.Fatal(err)
	}
	text, err := entry.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"schemaVersion":"tenon.bank/v1"}`))
	f.Add(fmt.Append(nil, "[]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEntry("entry.json", text)
		if err != nil {
			return
		}
		again, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseEntry("entry.json", again); err != nil {
			t.Fatalf("what was written does not read back: %v", err)
		}
	})
}

// A bank of which a module could not be given its part would close the gate for every adapter: it is refused by name, and no adapter is added
// that would make it one.
func TestBankThatNoWorkerTakes(t *testing.T) {
	b := Empty([32]byte{1})
	values := make([]report.Number, maxValues)
	for i := 0; b.tooLarge() == nil; i++ {
		if i*maxValues > 2*sandbox.MaxBankValues {
			t.Fatal("it is never too large")
		}
		e := &Entry{Adapter: Adapter{Digest: fmt.Sprint(i)}, Features: []Feature{{Module: "m", Version: "1", Values: values}}}
		if err := b.add("file", e); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.tooLarge(); err.Code != Invalid || !strings.Contains(err.Error(), "m 1") {
		t.Errorf("error is %v", err)
	}
}

// What a file says of a verdict is printed, so it is one or the file is refused.
func TestForeignVerdict(t *testing.T) {
	for _, verdict := range []report.Verdict{"", "inconclusive", "\x1b[31madmit"} {
		e := Entry{Verdict: verdict}
		if !slices.ContainsFunc(e.check("file"), func(f *fault.Error) bool { return f.Pointer == "/verdict" }) {
			t.Errorf("verdict %q is taken", verdict)
		}
	}
}
