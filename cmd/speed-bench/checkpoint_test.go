package main

import (
	"crypto/sha256"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

var tiny = shapes{hidden: 64, intermediate: 96, heads: 4, kvHeads: 2, vocab: 128, layers: 3}

func TestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	baseDir, adapterDir := filepath.Join(dir, "base"), filepath.Join(dir, "adapter")
	if err := writeBase(baseDir, tiny, 8, 1); err != nil {
		t.Fatal(err)
	}
	if err := writeAdapter(adapterDir, tiny, 4, 1); err != nil {
		t.Fatal(err)
	}
	b, err := base.Open(baseDir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if len(b.Shards) != 8 || len(b.Tensors) != 3+9*tiny.layers || b.DType() != tensor.BF16 {
		t.Errorf("%d shards of %d tensors of %v", len(b.Shards), len(b.Tensors), b.DType())
	}
	a, err := adapter.Open(adapterDir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	binding, err := a.Bind(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(binding.Targets) != 7*tiny.layers {
		t.Errorf("%d targets, want 7 in each of %d layers", len(binding.Targets), tiny.layers)
	}
	w, ok := b.Tensor("model.layers.1.mlp.down_proj.weight")
	if !ok {
		t.Fatal("no down_proj")
	}
	stored := make([]byte, w.Length)
	if _, err := b.Reader(w).ReadAt(stored, w.Offset); err != nil {
		t.Fatal(err)
	}
	values := make([]float64, w.Elements())
	if err := tensor.ToF64(values, stored, w.DType); err != nil {
		t.Fatal(err)
	}
	squares := 0.0
	for _, v := range values {
		squares += v * v
	}
	if deviation := math.Sqrt(squares / float64(len(values))); math.Abs(deviation/0.02-1) > 0.05 {
		t.Errorf("the deviation of a weight is %g, want 0.02", deviation)
	}
}

// The same arguments give the same bytes, and another seed gives others.
func TestCheckpointIsReproducible(t *testing.T) {
	const shard = "model-00002-of-00003.safetensors"
	var sums [3][32]byte
	for i, seed := range []uint64{1, 1, 2} {
		dir := t.TempDir()
		if err := writeBase(dir, tiny, 3, seed); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, shard))
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(text)
	}
	if sums[0] != sums[1] || sums[0] == sums[2] {
		t.Errorf("digests of seeds 1, 1 and 2 are %x", sums)
	}
}

func TestSplit(t *testing.T) {
	entries := func(sizes ...int) (all []safetensors.Entry) {
		for _, n := range sizes {
			all = append(all, safetensors.Entry{DType: tensor.BF16, Shape: []int{n}})
		}
		return all
	}
	for name, c := range map[string]struct {
		all   []safetensors.Entry
		parts int
		want  []int // tensors in each
	}{
		"even":           {entries(5, 5, 5, 5), 2, []int{2, 2}},
		"first is large": {entries(90, 1, 1), 3, []int{1, 1, 1}},
		"last is large":  {entries(1, 1, 1, 97), 2, []int{3, 1}},
		"one":            {entries(1, 2, 3), 1, []int{3}},
	} {
		got := split(c.all, c.parts)
		if len(got) != len(c.want) {
			t.Errorf("%s: %d parts, want %d", name, len(got), len(c.want))
			continue
		}
		for i := range got {
			if len(got[i]) != c.want[i] {
				t.Errorf("%s: %d tensors in part %d, want %d", name, len(got[i]), i, c.want[i])
			}
		}
	}
}

func TestLlama(t *testing.T) {
	for _, size := range []int64{1e9, 4e9, 16e9} {
		s := llama(size)
		total := 0
		for _, e := range s.tensors() {
			total += stored(e)
		}
		if off := math.Abs(float64(total)/float64(size) - 1); off > 0.25 {
			t.Errorf("%d bytes asked for, %d given", size, total)
		}
		for _, part := range split(s.tensors(), shards) {
			if len(part) == 0 {
				t.Errorf("%d bytes: an empty shard", size)
			}
		}
	}
	if s := llama(4e9); s.layers != 8 {
		t.Errorf("4 GB have %d layers", s.layers)
	}
}
