package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/merge"
)

// quantizedModel writes a GGUF model of a few quantised matrices, and an adapter of all of them.
func quantizedModel(t *testing.T) (model, lora string) {
	t.Helper()
	const width, rank = 256, 4
	r := rand.New(rand.NewPCG(21, 22))
	normal := func(n int, size float64) []byte {
		var out []byte
		for range n {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(size*r.NormFloat64())))
		}
		return out
	}
	var tensors, factors []gguf.Tensor
	for layer := range 4 {
		for i, kind := range []gguf.Type{gguf.Q4_K, gguf.Q8_0, gguf.F32} {
			part := []string{"attn_q", "attn_v", "ffn_up"}[i]
			tensors = append(tensors, gguf.Tensor{Name: fmt.Sprintf("blk.%d.%s.weight", layer, part), Type: kind, Shape: []int{width, width}})
		}
	}
	for _, x := range tensors {
		factors = append(factors, gguf.Tensor{Name: x.Name + ".lora_a", Type: gguf.F32, Shape: []int{rank, width}},
			gguf.Tensor{Name: x.Name + ".lora_b", Type: gguf.F32, Shape: []int{width, rank}})
	}
	dir := t.TempDir()
	put := func(name, kind string, tensors []gguf.Tensor, data func(gguf.Tensor) []byte, more ...gguf.Pair) string {
		var out bytes.Buffer
		pairs := append([]gguf.Pair{gguf.TextPair("general.architecture", "llama"), gguf.TextPair("general.type", kind)}, more...)
		w, err := gguf.NewWriter(&out, pairs, tensors, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range w.Tensors() {
			if _, err := w.Write(data(x)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	model = put("base.gguf", "model", tensors, func(x gguf.Tensor) []byte {
		if x.Type == gguf.F32 {
			return normal(x.Elements(), 0.05)
		}
		out := make([]byte, x.Length)
		for i := range out {
			out[i] = byte(r.Uint32())
		}
		_, size := x.Type.Block()
		for at := 0; at < len(out); at += size {
			binary.LittleEndian.PutUint16(out[at:], 0x0800) // 2^-13
			if x.Type == gguf.Q4_K {
				binary.LittleEndian.PutUint16(out[at+2:], 0x1400)
			}
		}
		return out
	})
	lora = put("adapter.gguf", "adapter", factors, func(x gguf.Tensor) []byte { return normal(x.Elements(), 0.02) },
		gguf.TextPair("adapter.type", "lora"), gguf.FloatPair("adapter.lora.alpha", rank))
	return model, lora
}

// TestQuantizedBase checks an adapter on a base whose matrices the diagnostics see decoded, and merges it.
func TestQuantizedBase(t *testing.T) {
	h := newHost(t, Options{})
	model, lora := quantizedModel(t)
	b, err := h.OpenBase(model)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := h.Check(context.Background(), b, lora, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	defer checked.Close()
	if !checked.Report.Verdict.Open() {
		t.Errorf("the verdict is %s: %+v", checked.Report.Verdict, checked.Report.Findings)
	}
	seen := 0
	for _, m := range checked.Report.Modules {
		if m.Status != "ok" {
			t.Errorf("%s: %s", m.ID, m.Status)
		}
		seen++
	}
	if seen == 0 || checked.Report.Base.DType != "F32" {
		t.Errorf("%d modules looked at a base of %s", seen, checked.Report.Base.DType)
	}
	out := filepath.Join(t.TempDir(), "merged.gguf")
	request := MergeRequest{Adapter: lora, Scale: 1, Base: model, Out: out}
	_, _, err = h.Merge(context.Background(), request)
	if list := fault.All(err); len(list) != 4 || list[0].Code != fault.BSQuantized || !strings.Contains(err.Error(), "Q4_K") {
		t.Errorf("without a type to store it in: %v", err)
	}
	request.DType = "q8_0"
	receipt, report, err := h.Merge(context.Background(), request)
	if err != nil || receipt == nil || report == nil {
		t.Fatalf("%v, %v", receipt, err)
	}
	if receipt.Rule != merge.GGUFRule || len(receipt.Kept()) != 1 || receipt.Gate.Verdict != report.Verdict {
		t.Errorf("%+v, %+v", receipt, receipt.Kept())
	}
	if _, err := merge.Verify(context.Background(), out); err != nil {
		t.Error(err)
	}
}

// TestGGUFRequests asks for what the kind of base has not.
func TestGGUFRequests(t *testing.T) {
	h := newHost(t, Options{})
	model, lora := quantizedModel(t)
	for _, test := range []struct {
		request MergeRequest
		says    string
	}{
		{MergeRequest{Base: model, Out: "out.gguf", DType: "f16", ShardBytes: 1 << 20}, "--shard-size"},
		{MergeRequest{Base: model, Out: "out"}, "--out FILE.gguf"},
		{MergeRequest{Base: filepath.Join(restaurant, "base"), Out: "out", DType: "f16"}, "--dtype"},
		{MergeRequest{Base: filepath.Join(restaurant, "base"), Out: "out.gguf"}, "name of a GGUF file"},
	} {
		test.request.Adapter, test.request.Scale, test.request.Out = lora, 1, filepath.Join(t.TempDir(), test.request.Out)
		_, _, err := h.Merge(context.Background(), test.request)
		if list := fault.All(err); len(list) != 1 || list[0].Code != fault.UsageFlag || !strings.Contains(err.Error(), test.says) {
			t.Errorf("got %v, want %s with %s", err, fault.UsageFlag, test.says)
		}
	}
}
