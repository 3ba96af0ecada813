// Package adaptertest holds what the tests of adapters share: the rows of host/adapter/testdata/peft, which PEFT itself wrote, the numbers in
// them, and their twins, each with one thing wrong. The generator of the rows is testdata/generators/peft_rows.py.
package adaptertest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"
)

// Row is one variant of LoRA: a base, an adapter of it, and what the two come to.
type Row struct {
	Name string
	Dir  string
	// Expect is the row's expect.json.
	Expect Expect
}

// Expect is what is known of a row without Tenon.
type Expect struct {
	// Refused is the code with which the adapter is refused; "" where it is merged, and then the other fields count.
	Refused string
	// Tensors are those of the base that the adapter changes, and those it adds.
	Tensors map[string]struct {
		Ulps    int64  // of PEFT's merged tensor to the oracle's rounding, at most
		Differs string // why PEFT's merged tensor is another one; "" where it is not
	}
	// Coverage is, for each tensor of the adapter, the base's tensor that it changes; "" where it is of several.
	Coverage map[string]string
	New      []string // the tensors that the base does not have
}

// Base is the directory of the base.
func (r Row) Base() string { return filepath.Join(r.Dir, "base") }

// Adapter is the directory of the adapter.
func (r Row) Adapter() string { return filepath.Join(r.Dir, "adapter") }

// Oracle is what each changed tensor comes to, in F64.
func (r Row) Oracle(t testing.TB) map[string]Tensor {
	t.Helper()
	return Read(t, filepath.Join(r.Dir, "oracle.safetensors"))
}

// Merged is what PEFT makes of each changed tensor; nil where PEFT fails.
func (r Row) Merged(t testing.TB) map[string]Tensor {
	t.Helper()
	path := filepath.Join(r.Dir, "merged.safetensors")
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return Read(t, path)
}

// Rows are the rows of a directory, by name.
func Rows(t testing.TB, dir string) []Row {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "expect.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has no rows: %v", dir, err)
	}
	rows := make([]Row, len(paths))
	for i, path := range paths {
		folder := filepath.Dir(path)
		rows[i] = Row{Name: filepath.Base(folder), Dir: folder}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &rows[i].Expect, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return rows
}
