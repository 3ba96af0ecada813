package cpu

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// randomModel makes a model of this shape with random weights, bf16 or f16. Rows of matrices are about as long as what they multiply.
func randomModel(t testing.TB, dtype tensor.DType, p *backendpb.ModelConfig) *model {
	t.Helper()
	p.Architecture, p.RmsNormEps, p.RopeTheta = architectureLlama, 1e-5, 10000
	hidden, queries, shared := int64(p.HiddenSize), int64(p.Heads*p.HeadDim), int64(p.KvHeads*p.HeadDim)
	inner, vocab := int64(p.IntermediateSize), int64(p.VocabSize)
	shapes := map[string][]int64{nameEmbed: {vocab, hidden}, nameNorm: {hidden}, nameHead: {vocab, hidden}}
	for i := range int(p.Layers) {
		for module, shape := range map[string][]int64{
			"self_attn.q_proj": {queries, hidden}, "self_attn.k_proj": {shared, hidden}, "self_attn.v_proj": {shared, hidden},
			"self_attn.o_proj": {hidden, queries}, "mlp.gate_proj": {inner, hidden}, "mlp.up_proj": {inner, hidden}, "mlp.down_proj": {hidden, inner},
			"input_layernorm": {hidden}, "post_attention_layernorm": {hidden},
		} {
			shapes[layerName(i, module)] = shape
		}
	}
	tensors := map[string]stored{}
	var group sync.WaitGroup
	for i, name := range slices.Sorted(maps.Keys(shapes)) {
		shape := shapes[name]
		elements, spread := 1, 1/math.Sqrt(float64(shape[len(shape)-1]))
		var sizes []int
		for _, n := range shape {
			elements *= int(n)
			sizes = append(sizes, int(n))
		}
		w := make([]byte, 2*elements)
		tensors[name] = stored{extent: extent{name: name, dtype: dtype, shape: sizes}, bytes: w}
		group.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for j := range elements {
				v := tensor.F64ToBF16
				if dtype == tensor.F16 {
					v = tensor.F64ToF16
				}
				binary.LittleEndian.PutUint16(w[2*j:], v(spread*r.NormFloat64()))
			}
		})
	}
	group.Wait()
	m, err := newModel(p, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func randomText(m *model, n int) []int32 {
	r := rand.New(rand.NewPCG(5, 6))
	text := make([]int32, n)
	for i := range text {
		text[i] = int32(r.IntN(m.vocab))
	}
	return text
}

// TestBatchesAgree evaluates a text token by token, and in batches, and wants the same logits to the bit after every token.
func TestBatchesAgree(t *testing.T) {
	for _, c := range []struct {
		dtype   tensor.DType
		headDim int32
	}{{tensor.BF16, 32}, {tensor.F16, 6}} {
		t.Run(fmt.Sprintf("%v/%d", c.dtype, c.headDim), func(t *testing.T) {
			m := randomModel(t, c.dtype, &backendpb.ModelConfig{
				HiddenSize: 80, IntermediateSize: 150, Layers: 2, Heads: 6, KvHeads: 2, HeadDim: c.headDim, VocabSize: 77, MaxPositions: 1000,
			})
			var pool sessionPool
			text := randomText(m, 2*promptTokens+5)
			want := logitsOf(t, newSession(m, &pool), text, 1, 1)
			for _, batch := range []int{2, 3, 7, 64, promptTokens} {
				for _, workers := range []int{1, 3} {
					got := logitsOf(t, newSession(m, &pool), text, batch, workers)
					for i := range want {
						if !slices.Equal(got[i], want[i]) {
							t.Fatalf("batches of %d, %d workers: the logits after token %d differ", batch, workers, i)
						}
					}
				}
			}
		})
	}
}

func logitsOf(t *testing.T, s *session, text []int32, batch, workers int) [][]float32 {
	t.Helper()
	var all [][]float32
	for part := range slices.Chunk(text, batch) {
		if err := s.advance(t.Context(), part, workers); err != nil {
			t.Fatal(err)
		}
		for from := 0; from < len(part); from += predictTokens {
			count := min(predictTokens, len(part)-from)
			s.predict(from, count, workers)
			for i := range count {
				all = append(all, slices.Clone(s.prediction(i)))
			}
		}
	}
	return all
}

// TestLongTexts reads texts of several batches: what Generate says of a prompt is what Compare says, whatever token that begins with.
func TestLongTexts(t *testing.T) {
	m := randomModel(t, tensor.BF16, &backendpb.ModelConfig{
		HiddenSize: 64, IntermediateSize: 96, Layers: 1, Heads: 2, KvHeads: 1, HeadDim: 16, VocabSize: 50, MaxPositions: 1000,
	})
	b := New(Options{Workers: 2})
	pristine := newGeneration("")
	pristine.model = m
	b.base.Store(&base{pristine: pristine})
	client := connect(t, b)
	for _, n := range []int{2, promptTokens, promptTokens + 1, promptTokens + 2, 2*promptTokens + predictTokens + 3} {
		text := randomText(m, n)
		events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
			return client.Generate(t.Context(), &backendpb.GenerateRequest{Prompt: text, PromptLogprobs: true, Logprobs: -1})
		})
		var told []*backendpb.Token
		for _, e := range events {
			if token := e.GetPrompt(); token != nil {
				told = append(told, token)
			}
		}
		if len(told) != n || told[0].HasLogprob {
			t.Fatalf("%d tokens of a prompt of %d, the first with a log-probability: %v", len(told), n, told[0].HasLogprob)
		}
		for _, first := range []int{1, n / 2, n - 1} {
			if first < 1 {
				continue
			}
			r, err := client.Compare(t.Context(), &backendpb.CompareRequest{Tokens: text, First: int32(first)})
			if err != nil {
				t.Fatal(err)
			}
			for i, nll := range r.NllBase {
				if token := told[first+i]; token.Id != text[first+i] || !token.HasLogprob || -token.Logprob != nll || r.Kl[i] != 0 {
					t.Fatalf("%d tokens from %d on: token %d has NLL %g and KL %g, Generate says %v", n, first, first+i, nll, r.Kl[i], token)
				}
			}
		}
	}
}

// BenchmarkSession evaluates a prompt and then single tokens with a model of 215 million parameters.
func BenchmarkSession(b *testing.B) {
	m := randomModel(b, tensor.BF16, &backendpb.ModelConfig{
		HiddenSize: 1024, IntermediateSize: 2816, Layers: 16, Heads: 16, KvHeads: 4, HeadDim: 64, VocabSize: 32000, MaxPositions: 4096,
		TieWordEmbeddings: true,
	})
	var pool sessionPool
	const prompt = 4 * promptTokens
	text := randomText(m, prompt)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("prefill/workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				s := pool.get(m)
				for part := range slices.Chunk(text, promptTokens) {
					if err := s.advance(b.Context(), part, workers); err != nil {
						b.Fatal(err)
					}
				}
				pool.put(s)
			}
			b.ReportMetric(float64(prompt*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
		b.Run(fmt.Sprintf("decode/workers=%d", workers), func(b *testing.B) {
			s := pool.get(m)
			defer pool.put(s)
			for b.Loop() {
				if s.position == prompt {
					s.position = 0
				}
				if err := s.advance(b.Context(), text[:1], workers); err != nil {
					b.Fatal(err)
				}
				s.predict(0, 1, workers)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
