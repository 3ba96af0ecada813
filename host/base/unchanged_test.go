package base

import (
	"os"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestUnchanged(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(path string) error
		want   bool // to be told
	}{
		{"nothing", func(string) error { return nil }, false},
		{"read", func(path string) error { _, err := os.ReadFile(path); return err }, false},
		{"longer", func(path string) error { return os.Truncate(path, 1<<20) }, true},
		{"touched", func(path string) error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) }, true},
		{"replaced", func(path string) error { return os.WriteFile(path, make([]byte, 9), 0o644) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := Open(files{configName: llamaConfig, singleName: weights(t, llamaTensors())}.write(t))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := c.change(b.Shards[0].Path); err != nil {
				t.Fatal(err)
			}
			err = b.Unchanged()
			if list := fault.All(err); (len(list) == 1 && list[0].Code == fault.STChanged) != c.want || (err != nil) != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}
