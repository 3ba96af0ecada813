package evaluation

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestRead(t *testing.T) {
	predictions := write(t, "p.txt", " one \r\n\ntwo\u0085three\u2028four")
	references := write(t, "r.txt", "1\n11\n\n2\n\n3\n\n\t4\t\n\n5\n\n")
	got, err := Read(predictions, references)
	if err != nil {
		t.Fatal(err)
	}
	want := []Segment{
		{Line{1, "one"}, []Line{{1, "1"}, {2, "11"}}},
		{Line{2, ""}, []Line{{4, "2"}}},
		{Line{3, "two"}, []Line{{6, "3"}}},
		{Line{3, "three"}, []Line{{8, "4"}}},
		{Line{3, "four"}, []Line{{10, "5"}}},
	}
	if !reflect.DeepEqual(got.Segments, want) {
		t.Errorf("%+v\nwant %+v", got.Segments, want)
	}
}

func TestReadRefuses(t *testing.T) {
	good := write(t, "good.txt", "one\n")
	tests := []struct {
		name, predictions, references string
		code                          fault.Code
		want                          string
	}{
		{"no file", filepath.Join(t.TempDir(), "none"), good, fault.IONotFound, "does not exist"},
		{"a folder", t.TempDir(), good, fault.IORead, "cannot be read"},
		{"counts", write(t, "p.txt", "one\ntwo\n"), good, fault.UsageFlag, "2 predictions, but " + good + " has references for 1"},
		{"nothing", write(t, "p.txt", ""), write(t, "r.txt", ""), fault.UsageFlag, "no segments"},
		{"two blank lines", good, write(t, "r.txt", "a\n\n\nb\n"), fault.UsageFlag, "line 3: a blank line"},
		{"not UTF-8", write(t, "p.txt", "a\nb\xff\n"), good, fault.IORead, "byte 3: line 2 is not UTF-8"},
		{"a table", good, write(t, "r.TSV", "a\tb\n"), fault.UsageFlag, "a table is not read"},
		{"a long line", write(t, "p.txt", strings.Repeat("a ", maxLine)), good, fault.UsageFlag, "longer than 64 KiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Read(test.predictions, test.references)
			var e *fault.Error
			if !errors.As(err, &e) || e.Code != test.code || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s with %q", err, test.code, test.want)
			}
		})
	}
}

// FuzzSplitLines: no line keeps a line end or outer space, and their numbers never fall.
func FuzzSplitLines(f *testing.F) {
	for _, seed := range []string{"", "a\r\n\rb", "\u2028\u2029\x1c", "\xff", "a\x85b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		lines, err := splitLines("f", data)
		if err != nil {
			return
		}
		last := 1
		for _, line := range lines {
			if strings.ContainsFunc(line.Text, lineEnd) || strings.TrimFunc(line.Text, space) != line.Text || line.Number < last {
				t.Fatalf("%+v", line)
			}
			last = line.Number
		}
	})
}
