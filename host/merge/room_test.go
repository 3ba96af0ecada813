package merge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestNeed counts what is still to be written of one shard of 1 MiB.
func TestNeed(t *testing.T) {
	const size = 1 << 20
	full := make([]byte, size)
	for i := range full {
		full[i] = 1
	}
	for _, c := range []struct {
		name   string
		fill   func(*os.File) error
		cloned bool
		want   int64
	}{
		{"a new file", func(f *os.File) error { return nil }, false, size + 7},
		{"a file of holes", func(f *os.File) error { return f.Truncate(size) }, false, size + 7},
		{"half of it", func(f *os.File) error { _, err := f.Write(full[:size/2]); return err }, false, size/2 + 7},
		{"all of it", func(f *os.File) error { _, err := f.Write(full); return err }, false, 7},
		{"a clone", func(f *os.File) error { _, err := f.Write(full); return err }, true, 1000 + 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "shard"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := c.fill(f); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil { // what is allocated late is allocated now
				t.Fatal(err)
			}
			w := &writing{
				plan:   &Plan{Base: &base.Base{Files: []base.File{{Name: "config.json", Size: 7}}}},
				layout: &layout{shards: []shard{{size: size, pieces: []piece{{to: tensor.Ref{Length: 1000}, item: new(Item)}, {to: tensor.Ref{Length: 9}}}}}},
				files:  []*os.File{f}, cloned: []bool{c.cloned},
			}
			if got, err := w.need(); err != nil || got != c.want {
				t.Errorf("%d bytes, %v; want %d", got, err, c.want)
			}
		})
	}
	if err := refuseRoom("there", 5, 5); err != nil {
		t.Error(err)
	}
	err := refuseRoom("there", 6_000_000, 5)
	if list := fault.All(err); len(list) != 1 || list[0].Code != fault.IOSpace || !strings.Contains(list[0].Cause, "6000000 more bytes and 5 are free") {
		t.Errorf("got %v", err)
	}
}
