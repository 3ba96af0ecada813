package merge_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// stored is a tensor of a small checkpoint.
type stored struct {
	name  string
	dtype tensor.DType
	shape []int
}

// smallShards are the shards of a small checkpoint: tensors that are merged between tensors that are not, and an empty one.
var smallShards = [][]stored{
	{
		{"model.embed_tokens.weight", tensor.BF16, []int{10, 8}}, {"model.layers.0.input_layernorm.weight", tensor.F32, []int{8}},
		{"model.layers.0.self_attn.q_proj.weight", tensor.BF16, []int{8, 8}}, {"model.layers.0.self_attn.k_proj.weight", tensor.BF16, []int{4, 8}},
		{"model.layers.0.extra", tensor.F32, []int{0, 8}}, {"model.layers.0.post_attention_layernorm.weight", tensor.F32, []int{8}},
	}, {
		{"model.layers.0.mlp.down_proj.weight", tensor.F16, []int{8, 12}}, {"model.layers.1.input_layernorm.weight", tensor.BF16, []int{8}},
		{"model.layers.1.self_attn.q_proj.weight", tensor.F32, []int{8, 8}}, {"model.layers.1.mlp.down_proj.weight", tensor.BF16, []int{8, 12}},
	}, {
		{"model.norm.weight", tensor.BF16, []int{7}}, {"lm_head.weight", tensor.BF16, []int{10, 8}},
	},
}

// smallTargets are the modules the small adapter adapts.
var smallTargets = []struct {
	module  string
	out, in int
}{
	{"model.layers.0.self_attn.q_proj", 8, 8}, {"model.layers.0.mlp.down_proj", 8, 12},
	{"model.layers.1.self_attn.q_proj", 8, 8}, {"model.layers.1.mlp.down_proj", 8, 12},
}

// container is a safetensors file with a header as no writer here would make it: keys in another order, spaces, and an odd length.
func container(tensors []stored, metadata string, random *rand.Rand) []byte {
	var entries []string
	var data []byte
	for _, t := range tensors {
		from, n := len(data), 1
		for _, d := range t.shape {
			n *= d
		}
		for range n {
			value := float32(random.NormFloat64() * 0.25)
			switch t.dtype {
			case tensor.F32:
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(value))
			case tensor.F16:
				data = binary.LittleEndian.AppendUint16(data, tensor.F32ToF16(value))
			default:
				data = binary.LittleEndian.AppendUint16(data, tensor.F32ToBF16(value))
			}
		}
		shape := strings.ReplaceAll(fmt.Sprint(t.shape), " ", ", ")
		entries = append(entries, fmt.Sprintf(`%q: {"shape": %s, "data_offsets": [%d, %d], "dtype": %q}`, t.name, shape, from, len(data), t.dtype))
	}
	header := "{" + strings.Join(append(entries[1:], entries[0]), " , ") + metadata + "}"
	if len(header)%2 == 0 {
		header += " "
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
}

// small is a checkpoint of three shards and an adapter of four of its modules, on disk.
type small struct{ base, adapter string }

func newSmall(t *testing.T) small {
	t.Helper()
	s := small{filepath.Join(t.TempDir(), "base"), filepath.Join(t.TempDir(), "adapter")}
	random := rand.New(rand.NewPCG(1, 2))
	var weightMap []string
	for i, tensors := range smallShards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(smallShards))
		for _, x := range tensors {
			weightMap = append(weightMap, fmt.Sprintf("%q: %q", x.name, name))
		}
		put(t, filepath.Join(s.base, name), container(tensors, fmt.Sprintf(`, "__metadata__": {"format": "pt", "part": "%d"}`, i), random))
	}
	put(t, filepath.Join(s.base, "model.safetensors.index.json"), []byte(`{"weight_map": {`+strings.Join(weightMap, ", ")+`}}`))
	put(t, filepath.Join(s.base, "config.json"), []byte(`{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"intermediate_size":12,`+
		`"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"vocab_size":10,"max_position_embeddings":32,"rms_norm_eps":1e-5,`+
		`"rope_theta":500000,"tie_word_embeddings":false,"torch_dtype":"bfloat16","bos_token_id":1,"eos_token_id":2,"hidden_act":"silu"}`))
	put(t, filepath.Join(s.base, "README.md"), []byte("a small model\n"))
	var factors []stored
	for _, x := range smallTargets {
		prefix := "base_model.model." + x.module
		factors = append(factors, stored{prefix + ".lora_A.weight", tensor.F32, []int{2, x.in}}, stored{prefix + ".lora_B.weight", tensor.F32, []int{x.out, 2}})
	}
	put(t, filepath.Join(s.adapter, "adapter_model.safetensors"), container(factors, "", random))
	put(t, filepath.Join(s.adapter, "adapter_config.json"),
		[]byte(`{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["q_proj","down_proj"],"bias":"none","task_type":"CAUSAL_LM"}`))
	return s
}

// put writes a file that looks as old as a base's usually are.
func put(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// plan opens the checkpoint and plans the merge.
func (s small) plan(t *testing.T) *merge.Plan {
	t.Helper()
	b, err := base.Open(s.base)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	binding, err := adapter.Load(s.adapter, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { binding.Adapter.Close() })
	p, err := merge.NewPlan(binding, 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// watcher is a backend that keeps what it was asked to merge, and can be made to do something in between.
type watcher struct {
	backendpb.BackendClient
	before func(context.Context)             // each merge
	event  func(n int) error                 // before the n-th event of a merge is handed on, from 0; an error is handed on in its place
	change func(event *backendpb.MergeEvent) // each event

	mu    sync.Mutex
	asked []string
}

func (w *watcher) Merge(ctx context.Context, in *backendpb.MergeRequest, opts ...grpc.CallOption) (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
	w.mu.Lock()
	for _, x := range in.Tensors {
		w.asked = append(w.asked, x.Merged.Name)
	}
	w.mu.Unlock()
	if w.before != nil {
		w.before(ctx)
	}
	stream, err := w.BackendClient.Merge(ctx, in, opts...)
	if err != nil {
		return nil, err
	}
	return &watched{ServerStreamingClient: stream, w: w}, nil
}

type watched struct {
	grpc.ServerStreamingClient[backendpb.MergeEvent]
	w *watcher
	n int
}

func (s *watched) Recv() (*backendpb.MergeEvent, error) {
	if s.w.event != nil {
		if err := s.w.event(s.n); err != nil {
			return nil, err
		}
	}
	s.n++
	event, err := s.ServerStreamingClient.Recv()
	if err == nil && s.w.change != nil {
		s.w.change(event)
	}
	return event, err
}

// contents are the files below dir, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		text, err := os.ReadFile(path)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantSame fails unless both directories hold the same files.
func wantSame(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if other, ok := got[name]; !ok || other != text {
			t.Errorf("%s: %d bytes with SHA-256 %x, want %d with %x", name, len(other), sha256.Sum256([]byte(other)), len(text), sha256.Sum256([]byte(text)))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

// left are the names in a directory.
func left(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// admitted is the decision that every merge of these tests rests on.
var admitted = merge.ReceiptGate{Verdict: "admit"}
