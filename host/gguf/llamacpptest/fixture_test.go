//go:build linux && amd64

package llamacpptest

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/convert"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// stories is a public model of 260,000 parameters with a random adapter on all its linear layers, both as Hugging Face directories and as GGUF, beside the
// repository.
const stories = "../../../../shared/models/stories260K"

// storiesDir skips the test where the model is absent.
func storiesDir(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(stories); err != nil {
		t.Skip("../shared/models is absent: no model to run")
	}
	dir, err := filepath.Abs(stories)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// golden is what PyTorch continues prompts with.
type golden struct {
	prompts, ids [][]int32
	logits       [][]float32 // of the first token
}

func readGolden(t *testing.T, name string) golden {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(storiesDir(t), name))
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]struct {
		Prompt []int32   `json:"prompt_ids"`
		IDs    []int32   `json:"gen_ids"`
		Logits []float32 `json:"last_prompt_logits"`
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%s: %d cases, %v", name, len(cases), err)
	}
	var g golden
	for _, c := range cases {
		g.prompts, g.ids, g.logits = append(g.prompts, c.Prompt), append(g.ids, c.IDs), append(g.logits, c.Logits)
	}
	return g
}

// wantGolden compares tokens, all of them, and the logits of the first.
func wantGolden(t *testing.T, g golden, model, lora string, scale float32) {
	t.Helper()
	longest := 0
	for _, ids := range g.ids {
		longest = max(longest, len(ids))
	}
	got := ask(t, request{Model: model, Adapter: lora, Scale: scale, Prompts: g.prompts, Tokens: longest})
	for i, want := range g.ids {
		if !slices.Equal(got.IDs[i][:len(want)], want) {
			t.Errorf("prompt %v continues with\n%v; PyTorch has\n%v", g.prompts[i], got.IDs[i], want)
		}
		if off := furthest(got.Logits[i], g.logits[i]); !(off < 1e-4) {
			t.Errorf("prompt %v: a logit is off by %g", g.prompts[i], off)
		}
	}
}

// furthest is the largest difference of two lists of numbers.
func furthest(a, b []float32) float64 {
	most := 0.0
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		most = max(most, math.Abs(float64(a[i])-float64(b[i])))
	}
	return most
}

// bound opens an adapter and binds it to a base.
func bound(t *testing.T, lora, model string) *adapter.Binding {
	t.Helper()
	b, err := base.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	a, err := adapter.Open(lora)
	if err != nil {
		t.Fatal(err)
	}
	binding, err := a.Bind(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { binding.Close() })
	return binding
}

// mergeFile merges into a GGUF file and returns its path.
func mergeFile(t *testing.T, lora, model string, scale float64, dtype string) string {
	t.Helper()
	plan, err := merge.NewPlan(bound(t, lora, model), scale)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "merged.gguf")
	if _, err := plan.WriteGGUF(context.Background(), merge.GGUFOutput{Path: out, DType: dtype, Gate: merge.ReceiptGate{Override: "a test"}}); err != nil {
		t.Fatal(err)
	}
	return out
}

// convertAdapter converts a PEFT adapter to GGUF and returns its path.
func convertAdapter(t *testing.T, lora string) string {
	t.Helper()
	plan, err := convert.ToGGUF(bound(t, lora, filepath.Join(storiesDir(t), "base")), convert.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "adapter.gguf")
	if err := plan.Write(context.Background(), out); err != nil {
		t.Fatal(err)
	}
	return out
}

// mergedCheckpoint is what merging a PEFT adapter into the Hugging Face base makes of each tensor that it changes: F32 bytes by the names, and in the
// order of rows, of GGUF.
func mergedCheckpoint(t *testing.T, lora string) map[string][]byte {
	t.Helper()
	binding := bound(t, lora, filepath.Join(storiesDir(t), "base"))
	architecture, ok := gguf.ArchitectureOf(binding.Base.Config.ModelType)
	if !ok {
		t.Fatalf("%q has no names in GGUF", binding.Base.Config.ModelType)
	}
	out := map[string][]byte{}
	for _, target := range binding.Targets {
		w, err := binding.Base.Read(target.Base)
		if err != nil {
			t.Fatal(err)
		}
		file := binding.File(target.A)
		delta, err := kernel.NewDelta(file.Bytes(target.A), target.A.DType, file.Bytes(target.B), target.B.DType, target.Rank, target.In, target.Out, target.Scale,
			target.FanInFanOut)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kernel.MergeRows(w, w, tensor.F32, delta, 0, target.Out); err != nil {
			t.Fatal(err)
		}
		name, ok := architecture.GGUF(target.Name)
		if !ok {
			t.Fatalf("%s has no name in GGUF", target.Name)
		}
		out[name] = w
		if heads := architecture.Heads(name, binding.Base.Config.Heads, binding.Base.Config.KVHeads); heads > 0 {
			out[name] = make([]byte, len(w))
			if err := gguf.RowsToGGUF(out[name], w, target.Out, heads); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// rewrite writes a GGUF file anew, with other tensors in the place of some: change returns a tensor's type and bytes.
func rewrite(t *testing.T, path string, change func(x gguf.Tensor, data []byte) (gguf.Type, []byte), keep func(name string) bool) string {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tensors []gguf.Tensor
	var data bytes.Buffer
	for _, x := range f.Tensors {
		if !keep(x.Name) {
			continue
		}
		old, err := f.Read(x)
		if err != nil {
			t.Fatal(err)
		}
		kind, text := change(x, old)
		tensors = append(tensors, gguf.Tensor{Name: x.Name, Type: kind, Shape: x.Shape})
		data.Write(text)
	}
	var out bytes.Buffer
	w, err := gguf.NewWriter(&out, f.Pairs, tensors, f.Alignment)
	if err == nil {
		if _, err = w.Write(data.Bytes()); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	written := filepath.Join(t.TempDir(), "rewritten.gguf")
	if err := os.WriteFile(written, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return written
}

func everything(string) bool { return true }

// adapterWith is the PEFT adapter with another text in its configuration.
func adapterWith(t *testing.T, old, new string) string {
	t.Helper()
	from, to := filepath.Join(storiesDir(t), "adapter"), t.TempDir()
	for _, name := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "adapter_config.json" {
			if !strings.Contains(string(text), old) {
				t.Fatalf("%s has no %s", name, old)
			}
			text = []byte(strings.Replace(string(text), old, new, 1))
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}
