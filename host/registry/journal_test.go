package registry

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// TestLogWithoutLines has in the log's place what is longer than any line, or a line that is. It stays for somebody to look at.
func TestLogWithoutLines(t *testing.T) {
	const size = maxBehind*(maxLine+1) + 1
	for _, c := range []struct {
		name   string
		breaks []int64
		want   fault.Code
	}{
		{"no line", nil, fault.RegCorrupt}, {"as a write that was cut short", []int64{-1}, ""}, {"a line", []int64{0, size - 1}, fault.RegCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			shut(t, open(t, dir))
			path := filepath.Join(dir, LogName)
			length := int64(size)
			if len(c.breaks) == 1 {
				length--
			}
			if err := errors.Join(os.Truncate(path, 0), os.Truncate(path, length)); err != nil {
				t.Fatal(err)
			}
			if len(c.breaks) == 2 {
				f, err := os.OpenFile(path, os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				for _, at := range c.breaks {
					if _, err := f.WriteAt([]byte{'\n'}, at); err != nil {
						t.Fatal(err)
					}
				}
			}
			r, err := Open(t.Context(), Options{Dir: dir})
			if code(err) != c.want {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if err == nil {
				shut(t, r)
				intact(t, dir)
				return
			}
			if info, err := os.Stat(path); err != nil || info.Size() != length {
				t.Errorf("the log was changed: %v, %v", info, err)
			}
		})
	}
}

// TestLongRow records what is as long as it may be, and refuses more. A host that finds it at the log's end starts.
func TestLongRow(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	d := decision(1)
	d.Override = strings.Repeat("x", maxRecord)
	if _, err := r.Decide(t.Context(), d); code(err) != fault.IOSpace {
		t.Errorf("a row that is too long: %v", err)
	}
	d.Override = d.Override[:maxRecord-2000]
	if _, err := r.Decide(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	shut(t, r)
	shut(t, open(t, dir))
	intact(t, dir)
}
