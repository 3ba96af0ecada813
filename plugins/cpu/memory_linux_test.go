package cpu

import (
	"os"
	"path/filepath"
	"testing"
)

func TestGroupHeadroom(t *testing.T) {
	for _, c := range []struct {
		name                 string
		limit, current, stat string
		want                 uint64
		ok                   bool
	}{
		{"no limit", "max\n", "500\n", "inactive_file 100\n", 0, false},
		{"file pages do not count", "1000\n", "700\n", "anon 400\nactive_file 100\ninactive_file 200\n", 600, true},
		{"over the limit", "1000\n", "1200\n", "anon 1200\n", 0, true},
		{"more file pages than pages", "1000\n", "100\n", "inactive_file 300\n", 1000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"memory.max": c.limit, "memory.current": c.current, "memory.stat": c.stat} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, ok := groupHeadroom(dir); got != c.want || ok != c.ok {
				t.Errorf("%d, %v; want %d, %v", got, ok, c.want, c.ok)
			}
		})
	}
	if _, ok := groupHeadroom(t.TempDir()); ok {
		t.Error("an empty directory has headroom")
	}
}
