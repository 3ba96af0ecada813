package registry

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestWhatIsWrittenComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a directory with ? and % and #")
	ctx := t.Context()
	r := open(t, dir)
	d := decision(1)
	d.Override, d.Tenant, d.Ref = "it is urgent", "t", "bytes \xff that are no text\n"
	id, err := r.Decide(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.KeepAdapter(ctx, adapterDigest(1), adapterFiles(1)); err != nil {
		t.Fatal(err)
	}
	a := activation("t/x", 1)
	a.Decision, a.Tenant = id, "t"
	first, err := r.Commit(ctx, 0, a)
	if err != nil {
		t.Fatal(err)
	}
	a.Sequence, a.Time = first.Sequence, first.Time
	if first != a || first.Sequence == 0 || first.Time.IsZero() {
		t.Errorf("committed %+v\nwant      %+v", first, a)
	}
	shut(t, r)
	r = open(t, dir)
	d.ID, d.Ref = id, "bytes \uFFFD that are no text\n"
	got, err := r.Decision(ctx, id)
	if d.Time = got.Time; err != nil || !reflect.DeepEqual(got, d) || got.Time.IsZero() {
		t.Errorf("decision %+v, %v\nwant     %+v", got, err, d)
	}
	live, err := r.Live(ctx, base)
	if err != nil || !reflect.DeepEqual(live, []Activation{a}) {
		t.Errorf("live %+v, %v", live, err)
	}
	if other, err := r.Live(ctx, number(7)); err != nil || len(other) != 0 {
		t.Errorf("of another base %+v, %v", other, err)
	}
	if err := checkKept(r, 1); err != nil {
		t.Error(err)
	}
	if _, err := r.Decision(ctx, int64(first.Sequence)); code(err) != fault.IONotFound {
		t.Errorf("an activation is a decision: %v", err)
	}
	var kinds []string
	rows, _, err := r.Audit(ctx, Page{})
	for _, row := range rows {
		kinds = append(kinds, fmt.Sprintf("%d %s", row.Sequence, row.Kind))
	}
	if want := "4 start,3 activate,2 override,1 start"; err != nil || strings.Join(kinds, ",") != want {
		t.Errorf("rows %v, %v, want %s", kinds, err, want)
	}
	if report := intact(t, dir); report.Rows != 4 || report.Head != rows[0].Hash {
		t.Errorf("verified %+v", report)
	}
}

func TestOneHostOnly(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"=hold", "REGISTRY_DIR="+dir)
	input, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := output.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Options{Dir: dir})
	if code(err) != fault.RegLocked || !strings.Contains(err.Error(), fmt.Sprintf("process %d ", child.Process.Pid)) {
		t.Errorf("beside process %d: %v", child.Process.Pid, err)
	}
	if _, err := Repair(t.Context(), dir); code(err) != fault.RegLocked {
		t.Errorf("repair beside a host: %v", err)
	}
	intact(t, dir) // reading is for everybody
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	input.Close()
	shut(t, open(t, dir)) // its lock ended with it
}

func TestLeftoversAreRemoved(t *testing.T) {
	dir := t.TempDir()
	shut(t, open(t, dir))
	for _, name := range []string{incomingName + "/half/adapter_model.safetensors", incomingName + "/file", adaptersName + "/00.json"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var told bytes.Buffer
	r, err := Open(t.Context(), Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if left := append(names(t, dir, incomingName), names(t, dir, adaptersName)...); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if !strings.Contains(told.String(), "files=3") {
		t.Errorf("told: %s", told.String())
	}
	rows, _, err := r.Audit(t.Context(), Page{Limit: 1})
	if err != nil || !strings.Contains(string(rows[0].Detail), `"leftovers":3`) {
		t.Errorf("row %s, %v", rows[0].Detail, err)
	}
}

func TestTemporary(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	abandoned, err := os.MkdirTemp("", temporaryPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(abandoned, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	r, err := Temporary(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Temporary(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Commit(t.Context(), 0, activation("x", 1)); err != nil {
		t.Error(err)
	}
	shut(t, r)
	shut(t, r)
	shut(t, second)
	if _, err := r.Commit(t.Context(), 0, activation("x", 1)); code(err) != fault.IOWrite {
		t.Errorf("after Close: %v", err)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFileSystems(t *testing.T) {
	for magic, want := range map[int64]fault.Code{0x6969: fault.RegNetwork, 0xff534d42: fault.RegNetwork, 0xef53: "", 0x01021994: "", 0x65735546: ""} {
		var told bytes.Buffer
		err := judgeFileSystem("dir", magic, slog.New(slog.NewTextHandler(&told, nil)))
		if code(err) != want {
			t.Errorf("%#x: %v", magic, err)
		}
		if warned := told.Len() > 0; warned != (magic == 0x65735546) {
			t.Errorf("%#x: warned %q", magic, told.String())
		}
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{"3.51.3": true, "3.51.4": true, "3.52.0": true, "4.0.0": true, "3.51.2": false, "3.9.9": false, "": false, "3.51": false, "x.y.z": false, "3.100.0": true} {
		if got := atLeast(version, leastSQLite); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
	var settings [4]string
	r := open(t, t.TempDir())
	for i, name := range []string{"journal_mode", "synchronous", "foreign_keys", "busy_timeout"} {
		if err := r.writer.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&settings[i]); err != nil {
			t.Fatal(err)
		}
	}
	if settings != [4]string{"wal", "2", "1", "5000"} {
		t.Errorf("settings %v", settings)
	}
}
