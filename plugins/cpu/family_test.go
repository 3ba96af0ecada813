package cpu

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// families holds models that transformers saved, with what transformers computes: testdata/generators/families.py says how.
const families = "../../testdata/families"

// familyGolden is the golden.json of one of them.
type familyGolden struct {
	Config                 json.RawMessage   `json:"config"`
	MergedSHA256           map[string]string `json:"merged_sha256"`
	Base, Merged, Unmerged []familyText
}

type familyText struct {
	Prompt   []int32   `json:"prompt"`
	Logits   []float64 `json:"logits"`
	NLL      []float64 `json:"nll"`
	IDs      []int32   `json:"ids"`
	Logprobs []float64 `json:"logprobs"`
}

func readFamily(t testing.TB, name string) (*familyGolden, *backendpb.LoadBaseRequest) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(families, name, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	g, c := &familyGolden{}, &backendpb.ModelConfig{}
	if err := json.Unmarshal(text, g); err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(g.Config, c); err != nil {
		t.Fatal(err)
	}
	file, tensors := readTable(t, filepath.Join(families, name, "model.safetensors"))
	return g, &backendpb.LoadBaseRequest{Digest: file.Sha256, Files: []*backendpb.File{file}, Tensors: tensors, Config: c}
}

// familyAdapter asks for the family's adapter, merged or beside the base.
func familyAdapter(t testing.TB, name string, base *backendpb.LoadBaseRequest, unmerged bool) *backendpb.StageRequest {
	t.Helper()
	dir := filepath.Join(families, name, "adapter")
	text, err := os.ReadFile(filepath.Join(dir, "adapter_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Alpha       float64 `json:"lora_alpha"`
		Rank        float64 `json:"r"`
		FanInFanOut bool    `json:"fan_in_fan_out"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	file, tensors := readTable(t, filepath.Join(dir, "adapter_model.safetensors"))
	digest := sha256.Sum256([]byte{byte(len(name)), map[bool]byte{true: 1}[unmerged]})
	req := &backendpb.StageRequest{Generation: digest[:], Base: base.Digest, Files: []*backendpb.File{file}, Unmerged: unmerged}
	for i := 0; i+1 < len(tensors); i += 2 { // sorted: A, then B
		target := strings.TrimSuffix(strings.TrimPrefix(tensors[i].Name, "base_model.model."), ".lora_A.weight") + ".weight"
		if !slices.ContainsFunc(base.Tensors, func(x *backendpb.Tensor) bool { return x.Name == target }) {
			target = strings.TrimPrefix(target, "transformer.")
		}
		req.Patches = append(req.Patches, &backendpb.Patch{
			Tensor: target, A: tensors[i], B: tensors[i+1], Scale: config.Alpha / config.Rank, FanInFanOut: config.FanInFanOut,
		})
	}
	return req
}

func familyNames(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(families)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if raced {
		names = []string{"gpt2-bare", "qwen3-window"} // the others run the same code on other numbers
	}
	return names
}

// TestFamilies serves a model of each family and wants what transformers says: of the base, and of a generation that is merged or not.
func TestFamilies(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range familyNames(t) {
		t.Run(name, func(t *testing.T) {
			golden, base := readFamily(t, name)
			seen[base.Config.Architecture] = true
			b := New(Options{Workers: 2})
			client := connect(t, b)
			if _, err := client.LoadBase(t.Context(), base); err != nil {
				t.Fatal(err)
			}
			checkFamilyTexts(t, b, client, nil, golden.Base)
			if golden.Merged == nil {
				return
			}
			for _, unmerged := range []bool{false, true} {
				req := familyAdapter(t, name, base, unmerged)
				events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
					return client.Stage(t.Context(), req)
				})
				if len(events) != len(golden.MergedSHA256) {
					t.Errorf("%d tensors were staged of %d", len(events), len(golden.MergedSHA256))
				}
				want := golden.Unmerged
				if !unmerged {
					want = golden.Merged
					for _, e := range events {
						golden, ok := golden.MergedSHA256[e.Tensor]
						if !ok {
							golden = familyDigest(t, name, e.Tensor)
						}
						if sum := hex.EncodeToString(e.Sha256); sum != golden {
							t.Errorf("%s: merged to %s, want %s", e.Tensor, sum, golden)
						}
					}
				}
				checkFamilyTexts(t, b, client, req.Generation, want)
			}
		})
	}
	for _, architecture := range architectures {
		if !seen[architecture] && !raced {
			t.Errorf("no fixture is a %s", architecture)
		}
	}
}

// familyDigest finds the digest of a tensor whose checkpoint names it without the prefix that its module has in transformers.
func familyDigest(t *testing.T, name, tensor string) string {
	t.Helper()
	golden, _ := readFamily(t, name)
	sum, ok := golden.MergedSHA256["transformer."+tensor]
	if !ok {
		t.Fatalf("no golden digest of %s", tensor)
	}
	return sum
}

// checkFamilyTexts compares greedy ids and log-probabilities that Generate gives, and the logits behind them.
func checkFamilyTexts(t *testing.T, b *Backend, client backendpb.BackendClient, generation []byte, want []familyText) {
	t.Helper()
	for i, text := range want {
		req := &backendpb.GenerateRequest{Generation: generation, Prompt: text.Prompt, MaxTokens: int32(len(text.IDs)), PromptLogprobs: true}
		events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
			return client.Generate(t.Context(), req)
		})
		var ids []int32
		var nll, logprobs []float64
		for _, e := range events {
			if token := e.GetToken(); token != nil {
				ids, logprobs = append(ids, token.Id), append(logprobs, token.Logprob)
			}
			if token := e.GetPrompt(); token != nil && token.HasLogprob {
				nll = append(nll, -token.Logprob)
			}
		}
		if !slices.Equal(ids, text.IDs) {
			t.Errorf("%x, prompt %d: greedy ids are\n%v, want\n%v", generation, i, ids, text.IDs)
			continue
		}
		checkNear(t, "log-probabilities of the prompt", nll, text.NLL)
		checkNear(t, "log-probabilities", logprobs, text.Logprobs)
		checkLogits(t, b, generation, text.Prompt, text.Logits)
	}
}

// checkLogits compares the logits that follow a prompt.
func checkLogits(t *testing.T, b *Backend, generation []byte, prompt []int32, want []float64) {
	t.Helper()
	g, err := b.hold("", generation)
	if err != nil {
		t.Fatal(err)
	}
	defer g.release()
	all := logitsOf(t, g.model, prompt, min(passRows, len(prompt)), 2)
	var logits []float64
	for _, x := range all[len(all)-1] {
		logits = append(logits, float64(x))
	}
	checkNear(t, "logits", logits, want)
}

func checkNear(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d %s, want %d", len(got), what, len(want))
		return
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= 1e-4) {
			t.Errorf("%s: number %d is %g, want %g", what, i, got[i], want[i])
			return
		}
	}
}

// TestFamilyBatchesAgree wants the same logits to the bit, whatever is computed together and by how many workers.
func TestFamilyBatchesAgree(t *testing.T) {
	for _, name := range familyNames(t) {
		t.Run(name, func(t *testing.T) {
			golden, base := readFamily(t, name)
			b := New(Options{Workers: 2})
			client := connect(t, b)
			if _, err := client.LoadBase(t.Context(), base); err != nil {
				t.Fatal(err)
			}
			models := []*model{b.base.Load().pristine.model}
			if golden.Unmerged != nil {
				req := familyAdapter(t, name, base, true)
				receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
					return client.Stage(t.Context(), req)
				})
				g, err := b.hold("", req.Generation)
				if err != nil {
					t.Fatal(err)
				}
				defer g.release()
				models = append(models, g.model)
			}
			text := golden.Base[1].Prompt
			for _, m := range models {
				want := logitsOf(t, m, text, 1, 1)
				for _, c := range []struct{ batch, workers int }{{1, 3}, {5, 1}, {7, 2}, {passRows, 3}} {
					for i, got := range logitsOf(t, m, text, c.batch, c.workers) {
						if !slices.Equal(got, want[i]) {
							t.Fatalf("batches of %d, %d workers: the logits after token %d differ", c.batch, c.workers, i)
						}
					}
				}
			}
		})
	}
}
