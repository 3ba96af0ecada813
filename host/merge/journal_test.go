package merge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzJournal opens journals of any content. What is taken over from one is what a second look finds, and what is added is found as well.
func FuzzJournal(f *testing.F) {
	key := [32]byte{1}
	title := "tenon.journal/1 01" + strings.Repeat("0", 62) + "\n"
	line := strings.Repeat("ab", 32) + " 7 \"a b\\n\"\n"
	for _, text := range []string{"", title, title + line, title + line + line[:40], title + "x\n" + line, line, "tenon.journal/1 02\n" + line} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		first, err := openJournal(path, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.add("new \"tensor\"\n", finished{changed: 3}); err != nil {
			t.Fatal(err)
		}
		first.close()
		first.found["new \"tensor\"\n"] = finished{changed: 3}
		second, err := openJournal(path, key)
		if err != nil {
			t.Fatal(err)
		}
		defer second.close()
		if len(second.found) != len(first.found) {
			t.Fatalf("%d tensors at first, %d then", len(first.found), len(second.found))
		}
		for name, entry := range first.found {
			if second.found[name] != entry {
				t.Errorf("%q was %v and is %v", name, entry, second.found[name])
			}
		}
	})
}
