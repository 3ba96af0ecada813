package merge_test

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/merge"
)

// BenchmarkWriteGGUF gives the bytes of the merged file that are written in a second, rank 16, from a base of Q4_K.
func BenchmarkWriteGGUF(b *testing.B) {
	const side, rank = 2048, 16
	r := rand.New(rand.NewPCG(3, 4))
	dir := b.TempDir()
	model, lora := filepath.Join(dir, "base.gguf"), filepath.Join(dir, "adapter.gguf")
	var tensors, factors []gguf.Tensor
	for i := range 4 {
		name := "blk." + strconv.Itoa(i) + ".attn_q.weight"
		tensors = append(tensors, gguf.Tensor{Name: name, Type: gguf.Q4_K, Shape: []int{side, side}})
		factors = append(factors, gguf.Tensor{Name: name + ".lora_a", Type: gguf.F32, Shape: []int{rank, side}},
			gguf.Tensor{Name: name + ".lora_b", Type: gguf.F32, Shape: []int{side, rank}})
	}
	pairs := []gguf.Pair{gguf.TextPair("general.architecture", "llama")}
	writeGGUF(b, model, append(pairs, gguf.TextPair("general.type", "model")), tensors, func(x gguf.Tensor) []byte { return randomBlocks(r, x) })
	writeGGUF(b, lora, append(pairs, gguf.TextPair("general.type", "adapter"), gguf.TextPair("adapter.type", "lora"), gguf.FloatPair("adapter.lora.alpha", rank)),
		factors, func(x gguf.Tensor) []byte {
			var out []byte
			for range x.Elements() {
				out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(0.02*r.NormFloat64())))
			}
			return out
		})
	opened, err := base.Open(model)
	if err != nil {
		b.Fatal(err)
	}
	defer opened.Close()
	a, err := adapter.Open(lora)
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	binding, err := a.Bind(opened)
	if err != nil {
		b.Fatal(err)
	}
	plan, err := merge.NewPlan(binding, 1)
	if err != nil {
		b.Fatal(err)
	}
	for _, dtype := range []string{"q8_0", "bf16", "f32"} {
		b.Run(dtype, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				out := filepath.Join(b.TempDir(), strconv.Itoa(i))
				receipt, err := plan.WriteGGUF(context.Background(), merge.GGUFOutput{Path: out, DType: dtype, Gate: overridden})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(receipt.Files[0].Size)
			}
		})
	}
}
