package merge_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
)

// TestVerifyNames damages a merged directory of several shards. Verify names everything that differs, and nothing else.
func TestVerifyNames(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	out := filepath.Join(t.TempDir(), "merged")
	files := write(t, p, newClient(t, p), out)
	merged, copied := p.Items[1].Base, p.Base.Shards[0].Tensors[1]
	first, last := p.Base.Shards[0], p.Base.Shards[2]
	in := func(name string) string { return filepath.Join(out, name) }
	for _, c := range []struct {
		name   string
		damage func()
		want   []string // "CODE file tensor", in order
	}{
		{"nothing", func() {}, nil},
		{"two tensors and a text", func() {
			flip(t, in(p.Base.Shards[merged.File].Name), merged.Offset)
			flip(t, in(first.Name), copied.Offset+copied.Length-1)
			flip(t, in("README.md"), 0)
		}, []string{"DIGEST README.md ", "DIGEST " + first.Name + " " + copied.Name, "DIGEST " + p.Base.Shards[merged.File].Name + " " + merged.Name}},
		{"the padding of a header", func() {
			text := files[last.Name]
			put(t, in(last.Name), []byte(strings.Replace(text, `, "__metadata__"`, ",\t\"__metadata__\"", 1)))
		}, []string{"DIGEST " + last.Name + " "}},
		{"a tensor of another name", func() {
			put(t, in(last.Name), []byte(strings.Replace(files[last.Name], `"model.norm.weight"`, `"model.morn.weight"`, 1)))
		}, []string{"DIGEST " + last.Name + " ", "DIGEST " + last.Name + " model.morn.weight", "DIGEST " + last.Name + " model.norm.weight"}},
		{"no header at all", func() { put(t, in(last.Name), make([]byte, len(files[last.Name]))) }, []string{"ST_HDR_SMALL " + last.Name + " "}},
		{"a byte more", func() { put(t, in(last.Name), []byte(files[last.Name]+"x")) }, []string{"DIGEST " + last.Name + " "}},
		{"a shard that is a link out of the directory", func() {
			os.Remove(in(last.Name))
			os.Symlink(last.Path, in(last.Name))
		}, []string{"DIGEST " + last.Name + " "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.damage()
			defer func() {
				for name, text := range files {
					os.Remove(in(name))
					put(t, in(name), []byte(text))
				}
			}()
			_, err := merge.Verify(t.Context(), out)
			var got []string
			for _, e := range fault.All(err) {
				got = append(got, string(e.Code)+" "+filepath.Base(e.File)+" "+e.Tensor)
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestVerifyReceipts alters the receipt alone. One that lists less than a merge does must not make a directory pass.
func TestVerifyReceipts(t *testing.T) {
	s := newSmall(t)
	p := s.plan(t)
	out := filepath.Join(t.TempDir(), "merged")
	write(t, p, newClient(t, p), out)
	whole, err := merge.ReadReceipt(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		alter func(r *merge.Receipt)
		want  string // pointer of a RECEIPT fault, "" where it passes
	}{
		{"nothing", func(*merge.Receipt) {}, ""},
		{"empty", func(r *merge.Receipt) { r.Tensors, r.Files, r.Adapters = nil, nil, nil }, "/tensors"},
		{"nothing merged", func(r *merge.Receipt) {
			for i := range r.Tensors {
				r.Tensors[i].Merged = false
			}
		}, "/tensors"},
		{"another content", func(r *merge.Receipt) { r.Content = r.Generation }, "/content"},
		{"no adapter", func(r *merge.Receipt) { r.Adapters = nil }, "/adapters"},
		{"two adapters, and not how", func(r *merge.Receipt) { r.Adapters = append(r.Adapters, r.Adapters...) }, "/combination"},
		{"no gate", func(r *merge.Receipt) { r.Gate = merge.ReceiptGate{} }, "/gate"},
		{"no digest", func(r *merge.Receipt) { r.Tensors[0].SHA256 = "" }, "/tensors/0/sha256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := *whole
			r.Tensors = slices.Clone(whole.Tensors)
			c.alter(&r)
			text, err := r.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(out, merge.ReceiptName), text)
			_, err = merge.Verify(t.Context(), out)
			found := slices.ContainsFunc(fault.All(err), func(e *fault.Error) bool { return e.Code == fault.ReceiptBad && e.Pointer == c.want })
			if c.want == "" && err != nil || c.want != "" && !found {
				t.Errorf("%v, want a fault at %q", err, c.want)
			}
		})
	}
}
