package cpu

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// writeFile stores bytes in a file of a request.
func writeFile(t testing.TB, content []byte) *backendpb.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "parts")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return &backendpb.File{Path: path, Size: int64(len(content)), Sha256: sum[:]}
}

// stageAll stages a generation named after its number and returns its model.
func stageAll(t *testing.T, b *Backend, client backendpb.BackendClient, req *backendpb.StageRequest) *generation {
	t.Helper()
	receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
		return client.Stage(t.Context(), req)
	})
	g, err := b.hold("", req.Generation)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.release)
	return g
}

// TestReplacedTensorsAreServed replaces each tensor of a model by its own entries in reverse, one at a time and all at once: a generation's logits are
// those of a base that has these bytes. Biases and norms, which are widened when a base is loaded, are among them.
func TestReplacedTensorsAreServed(t *testing.T) {
	for _, name := range []string{"gpt2", "gpt2-bare", "qwen2-tied", "qwen3", "llama"} {
		t.Run(name, func(t *testing.T) {
			golden, req := readFamily(t, name)
			b := New(Options{Workers: 2})
			client := connect(t, b)
			if _, err := client.LoadBase(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			loaded := b.base.Load()
			text := golden.Base[0].Prompt
			logits := func(m *model) []float32 {
				all := logitsOf(t, m, text, len(text), 2)
				return slices.Concat(all...)
			}
			pristine := logits(loaded.pristine.model)
			var patches []*backendpb.Patch
			var content []byte
			reversed := map[string]stored{}
			for _, row := range req.Tensors {
				weight := loaded.tensors[row.Name]
				if !weight.dtype.IsWeight() || isMask(row.Name) {
					continue
				}
				entries := slices.Collect(slices.Chunk(weight.bytes, weight.dtype.Size()))
				slices.Reverse(entries)
				other := stored{extent: weight.extent, bytes: bytes.Join(entries, nil)}
				reversed[row.Name] = other
				patches = append(patches, &backendpb.Patch{Tensor: row.Name, Start: &backendpb.Tensor{
					Name: "start", Dtype: row.Dtype, Shape: row.Shape, Offset: int64(len(content)), Length: row.Length,
				}})
				content = append(content, other.bytes...)
			}
			file := writeFile(t, content)
			check := func(id byte, patches ...*backendpb.Patch) {
				t.Helper()
				digest := sha256.Sum256([]byte{id})
				g := stageAll(t, b, client, &backendpb.StageRequest{
					Generation: digest[:], Base: req.Digest, Files: []*backendpb.File{file}, Patches: patches,
				})
				tensors := maps.Clone(loaded.tensors)
				for _, p := range patches {
					tensors[p.Tensor] = reversed[p.Tensor]
				}
				want, err := newModel(req.Config, tensors)
				if err != nil {
					t.Fatal(err)
				}
				got := logits(g.model)
				if !slices.Equal(got, logits(want)) {
					t.Errorf("%s: other logits than those of a base that has these bytes", patches[0].Tensor)
				}
				if slices.Equal(got, pristine) {
					t.Errorf("%s: the base's logits", patches[0].Tensor)
				}
			}
			check(0, patches...)
			if raced {
				return
			}
			for i, p := range patches {
				check(byte(i+1), p)
			}
		})
	}
}
