package cpu

import (
	"crypto/sha256"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// mergeRounding is how far the mean negative log-likelihoods of a merged generation, whose weights are rounded to BF16 once more, and of one that is
// not merged lie apart at most, in nats.
const mergeRounding = 5e-3

// TestUnmergedGolden stages each golden adapter without merging it. The text that a merged generation writes is what the golden values say; the one
// that is not merged agrees with it within the rounding of the merge, in far less memory.
func TestUnmergedGolden(t *testing.T) {
	g := readGolden(t)
	b := New(Options{})
	client := connect(t, b)
	base := tinyBase(t)
	if _, err := client.LoadBase(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	same, texts := 0, 0
	for _, name := range slices.Sorted(maps.Keys(g.Adapters)) {
		want := g.Adapters[name]
		req := tinyAdapter(t, base.Digest, name, want.Scale)
		req.Unmerged = true
		stage := func() ([]*backendpb.MergeEvent, error) {
			stream, err := client.Stage(t.Context(), req)
			if err != nil {
				return nil, err
			}
			var events []*backendpb.MergeEvent
			for event, err := stream.Recv(); err == nil; event, err = stream.Recv() {
				events = append(events, event)
			}
			_, err = stream.Recv()
			return events, err
		}
		if slices.ContainsFunc(req.Patches, func(p *backendpb.Patch) bool { return strings.Contains(p.Tensor, "embed_tokens") }) {
			if _, err := stage(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s changes the embedding: %v", name, err)
			}
			continue
		}
		if events, _ := stage(); len(events) != len(want.Targets) {
			t.Fatalf("%s: %d events for %d patches", name, len(events), len(want.Targets))
		}
		tokens := append([]int32{1}, nllIDs...)
		r, err := client.Compare(t.Context(), &backendpb.CompareRequest{Generation: req.Generation, Tokens: tokens, First: 1})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, nll := range r.NllGeneration {
			sum += nll
		}
		if mean := sum / float64(len(nllIDs)); math.Abs(mean-want.NLL.Merged) > mergeRounding {
			t.Errorf("%s: NLL is %g, merged %g", name, mean, want.NLL.Merged)
		}
		for _, text := range want.Greedy {
			events := receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
				return client.Generate(t.Context(), &backendpb.GenerateRequest{
					Generation: req.Generation, Prompt: text.Prompt, MaxTokens: 48, Stop: []int32{2}, Logprobs: -1})
			})
			var ids []int32
			for _, e := range events {
				if token := e.GetToken(); token != nil {
					ids = append(ids, token.Id)
				}
			}
			texts++
			if slices.Equal(ids, text.IDs) {
				same++
			} else {
				t.Logf("%s: %v, merged %v", name, ids, text.IDs)
			}
		}
	}
	if same < texts-texts/10 {
		t.Errorf("%d of %d greedy texts are those of merged generations", same, texts)
	}
}

// TestUnmergedIsExactInBatches evaluates a text with factors beside every matrix, in different batches, and wants the same bits.
func TestUnmergedIsExactInBatches(t *testing.T) {
	m := smallModel(t)
	patches := map[string]*factors{}
	m.eachLinear(func(l *linear) {
		if l.rows == 0 || l.name == m.embed.name {
			return
		}
		const rank = 5
		part := func(rows, cols int) matrix { // of the embedding's numbers
			return matrix{stored: stored{extent: extent{dtype: m.embed.dtype}, bytes: m.embed.bytes[:2*rows*cols]}, rows: rows, cols: cols}
		}
		patches[l.name] = &factors{a: part(rank, l.cols), b: part(l.rows, rank), scale: 0.7}
	})
	other := m.beside(patches)
	text := randomText(m, passRows+7)
	want := logitsOf(t, other, text, 1, 1)
	if slices.Equal(want[0], logitsOf(t, m, text[:1], 1, 1)[0]) {
		t.Fatal("the factors change nothing")
	}
	for _, batch := range []int{3, passRows} {
		for i, got := range logitsOf(t, other, text, batch, 3) {
			if !slices.Equal(got, want[i]) {
				t.Fatalf("batches of %d: the logits after token %d differ", batch, i)
			}
		}
	}
}

// TestUnmergedRefuses: what is not multiplied with as the patch says is refused by name.
func TestUnmergedRefuses(t *testing.T) {
	m := smallModel(t)
	query := m.layers[0].query
	for _, c := range []struct {
		name string
		p    *patch
		ok   bool
	}{
		{"a projection", &patch{name: query.name, plain: true}, true},
		{"transposed", &patch{name: query.name, plain: true, fanInFanOut: true}, false},
		{"more than factors", &patch{name: query.name}, false},
		{"the embedding", &patch{name: m.embed.name, plain: true}, false},
		{"no part of the model", &patch{name: "score.weight", plain: true}, false},
	} {
		err := m.checkBeside([]*patch{c.p})
		if c.ok != (err == nil) || err != nil && (status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), c.p.name)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	b := New(Options{})
	digest := sha256.Sum256([]byte("base"))
	g := newGeneration("g")
	if err := b.keepFactors(t.Context(), g, &base{digest: digest, pristine: newGeneration("")}, nil, nil); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("without a model: %v", err)
	}
}
