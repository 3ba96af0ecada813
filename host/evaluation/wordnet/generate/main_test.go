package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// folder writes a dict folder with given index.noun and noun.exc; the other files are empty.
func folder(t *testing.T, index, exceptions string) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range parts {
		for name, data := range map[string]string{"index." + part: index, part + ".exc": exceptions} {
			if part != "noun" {
				data = ""
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestGenerate(t *testing.T) {
	index := "  1 a notice\nkid n 2 1 @ 2 1 00000007 00000003  \nchild n 1 1 @ 1 1 00000007  \nbar_room n 1 0 1 0 00000009  \n"
	table, err := generate(folder(t, index, "children child\nkids_off kid_off\nx-ed x\n"))
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	text, err := decoder.DecodeAll(table, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(text), "child\t0\nchildren\t=child\nkid\t0 1\nkids\t=kid_off\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestGenerateRefuses(t *testing.T) {
	tests := []struct{ name, index, exceptions, want string }{
		{"a short line", "kid n\n", "", "is no line of an index"},
		{"a count that is none", "kid n x 0 1 0 00000009\n", "", "has no number of synsets"},
		{"too few offsets", "kid n 5 0 1 0 00000009\n", "", "has no number of synsets"},
		{"no base form", "", "children\n", "has no base form"},
		{"an empty line", "\n", "", "is no line of an index"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := generate(folder(t, test.index, test.exceptions)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	if _, err := generate(t.TempDir()); err == nil {
		t.Error("an empty folder is taken")
	}
}
