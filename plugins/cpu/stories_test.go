package cpu

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// stories is a small model that people trained and published, given beside the repository with what PyTorch and llama.cpp make of it.
const stories = "../../../shared/models/stories260K"

type storiesText struct {
	Prompt []int32   `json:"prompt_ids"`
	IDs    []int32   `json:"gen_ids"`
	Logits []float64 `json:"last_prompt_logits"`
	NLL    float64   `json:"nll"` // mean over prompt and continuation from the second token on
}

func TestStories(t *testing.T) {
	if _, err := os.Stat(stories); errors.Is(err, os.ErrNotExist) {
		t.Skipf("no published model beside the repository: %v", err)
	}
	file, tensors := readTable(t, filepath.Join(stories, "base/model.safetensors"))
	base := &backendpb.LoadBaseRequest{
		Digest: file.Sha256, Files: []*backendpb.File{file}, Tensors: tensors,
		Config: &backendpb.ModelConfig{
			Architecture: "llama", HiddenSize: 64, IntermediateSize: 172, Layers: 5, Heads: 8, KvHeads: 4, HeadDim: 8,
			VocabSize: 512, MaxPositions: 512, RmsNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: true, Activation: "silu",
		},
	}
	b := New(Options{Workers: 2})
	client := connect(t, b)
	if _, err := client.LoadBase(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		golden string
		scale  float64 // of the adapter, which has lora_alpha 8 and rank 4; 0: none
	}{{"golden_base.json", 0}, {"golden_adapter_scale1.json", 1}, {"golden_adapter_scale05.json", 0.5}} {
		for _, unmerged := range []bool{false, true} {
			if c.scale == 0 && unmerged {
				continue
			}
			t.Run(c.golden+map[bool]string{true: " unmerged"}[unmerged], func(t *testing.T) {
				var generation []byte
				if c.scale != 0 {
					req := storiesAdapter(t, base, 2*c.scale, unmerged)
					receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
						return client.Stage(t.Context(), req)
					})
					generation = req.Generation
				}
				checkStories(t, b, client, generation, c.golden)
			})
		}
	}
}

func storiesAdapter(t *testing.T, base *backendpb.LoadBaseRequest, scale float64, unmerged bool) *backendpb.StageRequest {
	t.Helper()
	file, tensors := readTable(t, filepath.Join(stories, "adapter/adapter_model.safetensors"))
	digest := sha256.Sum256([]byte{byte(10 * scale), map[bool]byte{true: 1}[unmerged]})
	req := &backendpb.StageRequest{Generation: digest[:], Base: base.Digest, Files: []*backendpb.File{file}, Unmerged: unmerged}
	for i := 0; i+1 < len(tensors); i += 2 { // sorted: A, then B
		target := strings.TrimSuffix(strings.TrimPrefix(tensors[i].Name, "base_model.model."), ".lora_A.weight") + ".weight"
		req.Patches = append(req.Patches, &backendpb.Patch{Tensor: target, A: tensors[i], B: tensors[i+1], Scale: scale})
	}
	return req
}

func checkStories(t *testing.T, b *Backend, client backendpb.BackendClient, generation []byte, golden string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stories, golden))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]storiesText
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for name, s := range want {
		ids, _ := writtenBy(t, client, &backendpb.GenerateRequest{Generation: generation, Prompt: s.Prompt, MaxTokens: int32(len(s.IDs)), Logprobs: -1})
		if !slices.Equal(ids, s.IDs) {
			t.Errorf("%s: greedy ids are\n%v, want\n%v", name, ids, s.IDs)
		}
		_, nll := writtenBy(t, client, &backendpb.GenerateRequest{Generation: generation, Prompt: slices.Concat(s.Prompt, s.IDs), PromptLogprobs: true})
		sum := 0.0
		for _, x := range nll {
			sum += x
		}
		if mean := sum / float64(len(nll)); math.Abs(mean-s.NLL) > 1e-5 {
			t.Errorf("%s: the mean NLL of %d tokens is %g, want %g", name, len(nll), mean, s.NLL)
		}
		checkLogits(t, b, generation, s.Prompt, s.Logits)
	}
}

// writtenBy are the tokens a request writes, and the negative log-likelihoods of its prompt.
func writtenBy(t *testing.T, client backendpb.BackendClient, req *backendpb.GenerateRequest) (ids []int32, nll []float64) {
	t.Helper()
	for _, e := range receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
		return client.Generate(t.Context(), req)
	}) {
		if token := e.GetToken(); token != nil {
			ids = append(ids, token.Id)
		}
		if token := e.GetPrompt(); token != nil && token.HasLogprob {
			nll = append(nll, -token.Logprob)
		}
	}
	return ids, nll
}
