package merge_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
)

func TestWriteGGUFRefuses(t *testing.T) {
	model, lora := smallGGUF(t, append(ggufKept, ggufQuantized...), 0.05)
	plan := planGGUF(t, model, lora)
	dir := t.TempDir()
	refused := func(t *testing.T, p *merge.Plan, o merge.GGUFOutput, code fault.Code, says string) {
		t.Helper()
		o.Gate = overridden
		_, err := p.WriteGGUF(context.Background(), o)
		list := fault.All(err)
		if len(list) == 0 || list[0].Code != code || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %s with %q", err, code, says)
		}
		for _, e := range list {
			if e.Remedy == "" {
				t.Errorf("no remedy: %v", e)
			}
		}
	}
	t.Run("quantised tensors that cannot be kept", func(t *testing.T) {
		refused(t, plan, merge.GGUFOutput{Path: filepath.Join(dir, "a.gguf"), DType: "keep"}, fault.BSQuantized, "--dtype q8_0")
	})
	t.Run("an output that exists", func(t *testing.T) {
		path := filepath.Join(dir, "exists.gguf")
		put(t, path, []byte("mine"))
		refused(t, plan, merge.GGUFOutput{Path: path, DType: "f16"}, fault.MergeExists, "exists")
		if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
			t.Error("it was written over")
		}
	})
	t.Run("a stranger in the receipt's place", func(t *testing.T) {
		path := filepath.Join(dir, "b.gguf")
		put(t, merge.GGUFReceiptPath(path), []byte("mine"))
		refused(t, plan, merge.GGUFOutput{Path: path, DType: "f16"}, fault.MergeExists, "receipt")
	})
	t.Run("no directory", func(t *testing.T) {
		refused(t, plan, merge.GGUFOutput{Path: filepath.Join(dir, "absent", "c.gguf"), DType: "f16"}, fault.IOWrite, "")
	})
	t.Run("values that F16 cannot hold", func(t *testing.T) {
		model, lora := smallGGUF(t, ggufKept[1:2], 1000)
		refused(t, planGGUF(t, model, lora), merge.GGUFOutput{Path: filepath.Join(dir, "d.gguf")}, fault.ADOverflowOnMerge, "F16")
	})
	t.Run("nothing is left of the change", func(t *testing.T) {
		model, lora := smallGGUF(t, ggufKept[:3], 1e-8)
		refused(t, planGGUF(t, model, lora), merge.GGUFOutput{Path: filepath.Join(dir, "e.gguf")}, fault.ADNoEffect, "")
	})
	t.Run("a base that is written to", func(t *testing.T) {
		model, lora := smallGGUF(t, ggufKept, 0.05)
		p := planGGUF(t, model, lora)
		raw, err := os.ReadFile(model)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(model, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, p, merge.GGUFOutput{Path: filepath.Join(dir, "f.gguf")}, fault.GGChanged, "")
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := plan.WriteGGUF(ctx, merge.GGUFOutput{Path: filepath.Join(dir, "g.gguf"), DType: "f16", Gate: overridden}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	left, err := filepath.Glob(filepath.Join(dir, "*.gguf"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) != 1 || len(hidden) != 0 {
		t.Errorf("left behind: %q %q", left, hidden)
	}
}

// TestPartialGGUF finds something in the place where a merge writes.
func TestPartialGGUF(t *testing.T) {
	model, lora := smallGGUF(t, ggufKept, 0.05)
	p := planGGUF(t, model, lora)
	tests := []struct {
		name string
		put  func(t *testing.T, path string)
		code fault.Code // "": none
	}{
		{"what a merge that was killed left", func(t *testing.T, path string) { put(t, path, bytes.Repeat([]byte("rest"), 1<<20)) }, ""},
		{"what another merge is writing", func(t *testing.T, path string) {
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			if locked, err := durable.Lock(f); err != nil || !locked {
				t.Fatal(err)
			}
		}, fault.MergeExists},
		{"a file with another name", func(t *testing.T, path string) {
			other := path + ".other"
			put(t, other, []byte("mine"))
			if err := os.Link(other, path); err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() {
				if text, err := os.ReadFile(other); err != nil || string(text) != "mine" {
					t.Errorf("it was written over: %q, %v", text, err)
				}
			})
		}, fault.IOWrite},
		{"a symbolic link", func(t *testing.T, path string) {
			put(t, path+".other", []byte("mine"))
			if err := os.Symlink(path+".other", path); err != nil {
				t.Fatal(err)
			}
		}, fault.IOWrite},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "merged.gguf")
			test.put(t, filepath.Join(dir, ".merged.gguf.tenon-partial"))
			_, err := p.WriteGGUF(context.Background(), merge.GGUFOutput{Path: out, Gate: overridden})
			if test.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := merge.Verify(context.Background(), out); err != nil {
					t.Error(err)
				}
				return
			}
			if list := fault.All(err); len(list) != 1 || list[0].Code != test.code {
				t.Errorf("got %v, want %s", err, test.code)
			}
			if _, err := os.Lstat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the output exists: %v", err)
			}
		})
	}
}
