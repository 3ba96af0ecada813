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

// newStore returns a store of pages for m's texts.
func newStore(m *model) *pageStore { return &pageStore{bytes: 4 * m.pageFloats()} }

// never lets a pass run to its end.
func never() bool { return false }

// feed evaluates the next tokens of a text as one pass.
func feed(t testing.TB, p *pass, m *model, c *cache, from int, tokens []int32) {
	t.Helper()
	if err := c.reserve(from + len(tokens)); err != nil {
		t.Fatal(err)
	}
	rows := make([]row, len(tokens))
	for i, token := range tokens {
		rows[i] = row{text: c, position: from + i, token: token}
	}
	if err := p.run(m, rows, never); err != nil {
		t.Fatal(err)
	}
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
			text := randomText(m, 2*passRows+5)
			want := logitsOf(t, m, text, 1, 1)
			for _, batch := range []int{2, 3, 7, 64, passRows} {
				for _, workers := range []int{1, 3} {
					got := logitsOf(t, m, text, batch, workers)
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

func logitsOf(t *testing.T, m *model, text []int32, batch, workers int) [][]float32 {
	t.Helper()
	crew := newCrew(workers)
	defer crew.dismiss()
	p, c := newPass(crew), &cache{config: m.config, store: newStore(m)}
	var all [][]float32
	for part := range slices.Chunk(text, batch) {
		feed(t, p, m, c, len(all), part)
		rows := make([]int, len(part))
		for i := range rows {
			rows[i] = i
		}
		p.predict(rows)
		for i := range rows {
			all = append(all, slices.Clone(p.prediction(i)))
		}
	}
	return all
}

// TestDecodingDoesNotAllocate: a pass of one row allocates nothing once its scratch memory has grown.
func TestDecodingDoesNotAllocate(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	m := randomModel(t, tensor.BF16, &backendpb.ModelConfig{
		HiddenSize: 256, IntermediateSize: 512, Layers: 2, Heads: 4, KvHeads: 2, HeadDim: 64, VocabSize: 512, MaxPositions: 1000,
	})
	for _, workers := range []int{1, 3} {
		crew := newCrew(workers)
		defer crew.dismiss()
		p, c := newPass(crew), &cache{config: m.config, store: newStore(m)}
		feed(t, p, m, c, 0, randomText(m, 80))
		rows, wanted := []row{{text: c, position: 79, token: 3}}, []int{0}
		n := testing.AllocsPerRun(50, func() {
			if err := p.run(m, rows, never); err != nil {
				t.Fatal(err)
			}
			p.predict(wanted)
		})
		if n > 0 {
			t.Errorf("%d workers: %v allocations for each token", workers, n)
		}
	}
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
	for _, n := range []int{2, passRows, passRows + 1, passRows + 2, 2*passRows + 24 + 3} {
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

// BenchmarkForward evaluates a prompt and then single tokens with a model of 215 million parameters.
func BenchmarkForward(b *testing.B) {
	m := randomModel(b, tensor.BF16, &backendpb.ModelConfig{
		HiddenSize: 1024, IntermediateSize: 2816, Layers: 16, Heads: 16, KvHeads: 4, HeadDim: 64, VocabSize: 32000, MaxPositions: 4096,
		TieWordEmbeddings: true,
	})
	const prompt = 4 * passRows
	text := randomText(m, prompt)
	for _, workers := range []int{1, 2} {
		crew := newCrew(workers)
		defer crew.dismiss()
		p, c := newPass(crew), &cache{config: m.config, store: newStore(m)}
		b.Run(fmt.Sprintf("prefill/workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				at := 0
				for part := range slices.Chunk(text, passRows) {
					feed(b, p, m, c, at, part)
					at += len(part)
				}
			}
			b.ReportMetric(float64(prompt*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
		for _, texts := range []int{1, 8} {
			b.Run(fmt.Sprintf("decode/workers=%d/texts=%d", workers, texts), func(b *testing.B) {
				rows, wanted := make([]row, texts), make([]int, texts)
				for i := range rows {
					c := &cache{config: m.config, store: newStore(m)}
					if err := c.reserve(prompt); err != nil {
						b.Fatal(err)
					}
					rows[i], wanted[i] = row{text: c, position: prompt / 2, token: text[i]}, i
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := p.run(m, rows, never); err != nil {
						b.Fatal(err)
					}
					p.predict(wanted)
				}
				b.ReportMetric(float64(texts*b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
