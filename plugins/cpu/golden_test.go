package cpu

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// tinyLlama is the model with golden values that is given beside the repository, not in it.
const tinyLlama = "../../../shared/models/tiny-llama"

// golden is what of golden.json this package answers for.
type golden struct {
	Base struct {
		Greedy []goldenText `json:"greedy"`
	} `json:"base"`
	Adapters map[string]struct {
		Scale   float64 `json:"scale"`
		Targets map[string]struct {
			SHA256  string `json:"merged_sha256"`
			Changed int64  `json:"changed"`
		} `json:"targets"`
		Greedy []goldenText `json:"greedy"`
		NLL    struct {
			Text   string  `json:"text"`
			Merged float64 `json:"merged"`
			Base   float64 `json:"base"`
			Tokens int     `json:"tokens"`
		} `json:"nll_text"`
	} `json:"adapters"`
}

type goldenText struct {
	Prompt      []int32   `json:"prompt_ids"`
	IDs         []int32   `json:"ids"`
	FirstLogits []float64 `json:"first_logits"`
}

func readGolden(t testing.TB) *golden {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tinyLlama, "golden.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no golden values beside the repository: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return &g
}

// readTable reads the header of a safetensors file that these tests trust.
func readTable(t testing.TB, path string) (*backendpb.File, []*backendpb.Tensor) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(binary.LittleEndian.Uint64(content))
	var header map[string]struct {
		DType   string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(content[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "__metadata__")
	var tensors []*backendpb.Tensor
	for _, name := range slices.Sorted(maps.Keys(header)) {
		h := header[name]
		tensors = append(tensors, &backendpb.Tensor{
			Name: name, Dtype: h.DType, Shape: h.Shape, Offset: 8 + n + h.Offsets[0], Length: h.Offsets[1] - h.Offsets[0]})
	}
	sum := sha256.Sum256(content)
	return &backendpb.File{Path: path, Size: int64(len(content)), Sha256: sum[:]}, tensors
}

func tinyBase(t testing.TB) *backendpb.LoadBaseRequest {
	file, tensors := readTable(t, filepath.Join(tinyLlama, "base/model.safetensors"))
	return &backendpb.LoadBaseRequest{
		Digest: file.Sha256, Files: []*backendpb.File{file}, Tensors: tensors,
		Config: &backendpb.ModelConfig{
			Architecture: "llama", HiddenSize: 192, IntermediateSize: 512, Layers: 6, Heads: 6, KvHeads: 3, HeadDim: 32,
			VocabSize: 2048, MaxPositions: 512, RmsNormEps: 1e-5, RopeTheta: 10000, TieWordEmbeddings: true,
		},
	}
}

func tinyAdapter(t testing.TB, base []byte, name string, scale float64) *backendpb.StageRequest {
	file, tensors := readTable(t, filepath.Join(tinyLlama, "adapters", name, "adapter_model.safetensors"))
	req := &backendpb.StageRequest{Base: base, Files: []*backendpb.File{file}}
	digest := sha256.Sum256([]byte(name))
	req.Generation = digest[:]
	for i := 0; i+1 < len(tensors); i += 2 { // sorted: A, then B
		target := strings.TrimSuffix(strings.TrimPrefix(tensors[i].Name, "base_model.model."), ".lora_A.weight") + ".weight"
		req.Patches = append(req.Patches, &backendpb.Patch{Tensor: target, A: tensors[i], B: tensors[i+1], Scale: scale})
	}
	return req
}

func TestGolden(t *testing.T) {
	g := readGolden(t)
	b := New(Options{})
	client := connect(t, b)
	base := tinyBase(t)
	if _, err := client.LoadBase(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	t.Run("base", func(t *testing.T) {
		checkTexts(t, b, client, "", g.Base.Greedy)
		for _, a := range g.Adapters {
			checkNLL(t, client, "", a.NLL.Text, a.NLL.Tokens, a.NLL.Base)
			break // the same for all
		}
	})
	names := slices.Sorted(maps.Keys(g.Adapters))
	if raced {
		names = names[:1] // the others run the same code on other numbers
	}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			want := g.Adapters[name]
			req := tinyAdapter(t, base.Digest, name, want.Scale)
			events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.MergeEvent], error) {
				return client.Stage(t.Context(), req)
			})
			if len(events) != len(want.Targets) {
				t.Errorf("%d merged tensors, want %d", len(events), len(want.Targets))
			}
			for _, e := range events {
				if sum, target := hex.EncodeToString(e.Sha256), want.Targets[e.Tensor]; sum != target.SHA256 || e.Changed != target.Changed || e.NonFinite != 0 {
					t.Errorf("%s: %s with %d changed, want %s with %d", e.Tensor, sum, e.Changed, target.SHA256, target.Changed)
				}
			}
			activate := &backendpb.ActivateRequest{Alias: "live", Generation: req.Generation, Sequence: uint64(i + 1)}
			if _, err := client.Activate(t.Context(), activate); err != nil {
				t.Fatal(err)
			}
			checkTexts(t, b, client, "live", want.Greedy)
			checkNLL(t, client, "live", want.NLL.Text, want.NLL.Tokens, want.NLL.Merged)
			checkCompare(t, client, req.Generation, want.NLL.Base, want.NLL.Merged)
		})
	}
}

// checkTexts compares greedy ids, and the first eight logits after the prompt.
func checkTexts(t *testing.T, b *Backend, client backendpb.BackendClient, alias string, want []goldenText) {
	t.Helper()
	for i, text := range want {
		req := &backendpb.GenerateRequest{Alias: alias, Prompt: text.Prompt, MaxTokens: 48, Stop: []int32{2}}
		events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
			return client.Generate(t.Context(), req)
		})
		var ids []int32
		for _, e := range events {
			if token := e.GetToken(); token != nil {
				ids = append(ids, token.Id)
			}
		}
		if !slices.Equal(ids, text.IDs) {
			t.Errorf("prompt %d: greedy ids %v, want %v", i, ids, text.IDs)
		}
		g, err := b.pin(alias)
		if err != nil {
			t.Fatal(err)
		}
		crew := newCrew(1)
		p, m := newPass(crew), g.model
		feed(t, p, m, &cache{config: m.config, store: newStore(m)}, 0, text.Prompt)
		p.predict([]int{len(text.Prompt) - 1})
		for j, logit := range text.FirstLogits {
			if got := p.prediction(0)[j]; math.Abs(float64(got)-logit) > 1e-4 {
				t.Errorf("prompt %d: logit %d is %g, want %g", i, j, got, logit)
			}
		}
		crew.dismiss()
		g.release()
	}
}

// nllIDs are the tokens of the sentence whose likelihood the golden values give, without the one that begins a text.
var nllIDs = []int32{381, 273, 1061, 385, 115, 987, 278, 422, 273, 346, 347, 278, 400, 273, 403, 278, 127,
	1326, 298, 261, 346, 347, 1061, 385, 115, 987, 295, 266, 403, 400, 336}

const nllText = "name : Blue Spice | Type : coffee shop | area : riverside || There is a coffee shop Blue Spice in the riverside area ."

// checkNLL compares the mean negative log-likelihood of a sentence, each token given what comes before it, the first one given the beginning.
func checkNLL(t *testing.T, client backendpb.BackendClient, alias, text string, tokens int, want float64) {
	t.Helper()
	if text != nllText || tokens != len(nllIDs) {
		t.Fatalf("the golden sentence is %q of %d tokens, these ids are of %q", text, tokens, nllText)
	}
	req := &backendpb.GenerateRequest{Alias: alias, Prompt: append([]int32{1}, nllIDs...), PromptLogprobs: true}
	events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
		return client.Generate(t.Context(), req)
	})
	sum, n := 0.0, 0
	for _, e := range events {
		if token := e.GetPrompt(); token != nil && token.HasLogprob {
			sum -= token.Logprob
			n++
		}
	}
	if n != tokens || math.Abs(sum/float64(n)-want) > 1e-5 {
		t.Errorf("NLL of %d tokens is %g, want %g", n, sum/float64(n), want)
	}
}

// checkCompare compares the sentence's mean negative log-likelihoods, and each with what Generate says of it, to the bit.
func checkCompare(t *testing.T, client backendpb.BackendClient, generation []byte, base, merged float64) {
	t.Helper()
	tokens := append([]int32{1}, nllIDs...)
	r, err := client.Compare(t.Context(), &backendpb.CompareRequest{Generation: generation, Tokens: tokens, First: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		generation []byte
		nll        []float64
		want       float64
	}{{nil, r.NllBase, base}, {generation, r.NllGeneration, merged}} {
		sum := 0.0
		for _, nll := range c.nll {
			sum += nll
		}
		if mean := sum / float64(len(nllIDs)); math.Abs(mean-c.want) > 1e-5 {
			t.Errorf("generation %x: NLL is %g, want %g", c.generation, mean, c.want)
		}
		events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
			return client.Generate(t.Context(), &backendpb.GenerateRequest{Generation: c.generation, Prompt: tokens, PromptLogprobs: true})
		})
		i := 0
		for _, e := range events {
			if token := e.GetPrompt(); token != nil && token.HasLogprob {
				if -token.Logprob != c.nll[i] {
					t.Errorf("generation %x: token %d has NLL %g, Generate says %g", c.generation, i+1, c.nll[i], -token.Logprob)
				}
				i++
			}
		}
	}
}

func receiveAll[T any](t testing.TB, call func() (grpc.ServerStreamingClient[T], error)) []*T {
	t.Helper()
	stream, err := call()
	if err != nil {
		t.Fatal(err)
	}
	var all []*T
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, event)
	}
}

// TestTokensAgree keeps nllIDs honest: its beginning is the golden prompt.
func TestTokensAgree(t *testing.T) {
	prompt := readGolden(t).Base.Greedy[0].Prompt
	if !slices.Equal(prompt[1:], nllIDs[:len(prompt)-1]) {
		t.Errorf("the sentence begins with %v, the prompt is %v", nllIDs, prompt)
	}
}
