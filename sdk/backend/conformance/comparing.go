package conformance

import (
	"bytes"
	"math"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// comparedText is long enough to cross a page or two of any cache.
func comparedText(b *Base) []int32 {
	tokens := make([]int32, 150)
	for i := range tokens {
		tokens[i] = int32(1+i*i*7+i) % b.config.VocabSize
	}
	return tokens
}

func compareTexts(t T, client backendpb.BackendClient, req *backendpb.CompareRequest) *backendpb.CompareResponse {
	t.Helper()
	r, err := client.Compare(t.Context(), req)
	if err != nil {
		t.Fatalf("Compare: %v", err)
	}
	if n := len(req.Tokens) - int(req.First); len(r.NllBase) != n || len(r.NllGeneration) != n || len(r.Kl) != n {
		t.Fatalf("Compare: %d, %d and %d entries for %d predicted tokens", len(r.NllBase), len(r.NllGeneration), len(r.Kl), n)
	}
	return r
}

// testCompare compares a base with a generation that is staged and not live, and with itself.
func testCompare(t T, k *kit) {
	client := k.start(t)
	b := k.llamaBase(t, true)
	load(t, client, b)
	a := llamaAdapter(t, b, "adapter", 9)
	stage(t, client, a.request())
	tokens := comparedText(b)
	r := compareTexts(t, client, &backendpb.CompareRequest{Generation: a.generation(), Tokens: tokens, First: 1})
	p, q := b.oracle(nil).logprobs(tokens), b.oracle(a).logprobs(tokens)
	for i := range r.Kl {
		kl := 0.0
		for j, logP := range p[i] {
			kl += math.Exp(logP) * (logP - q[i][j])
		}
		for _, c := range []struct {
			what      string
			got, want float64
		}{{"NLL of the base", r.NllBase[i], -p[i][tokens[i+1]]}, {"NLL of the generation", r.NllGeneration[i], -q[i][tokens[i+1]]}, {"KL", r.Kl[i], kl}} {
			if !(math.Abs(c.got-c.want) <= logprobTolerance*(1+math.Abs(c.want))) {
				t.Fatalf("token %d: %s is %g, want %g", i+1, c.what, c.got, c.want)
			}
		}
	}
	// What is not scored is read all the same.
	const first = 70
	rest := compareTexts(t, client, &backendpb.CompareRequest{Generation: a.generation(), Tokens: tokens, First: first})
	if !slices.Equal(rest.NllBase, r.NllBase[first-1:]) || !slices.Equal(rest.NllGeneration, r.NllGeneration[first-1:]) ||
		!slices.Equal(rest.Kl, r.Kl[first-1:]) {
		t.Errorf("the numbers depend on how much is scored")
	}
	self := compareTexts(t, client, &backendpb.CompareRequest{Tokens: tokens, First: 1})
	for i, kl := range self.Kl {
		if kl != 0 || self.NllBase[i] != self.NllGeneration[i] || self.NllBase[i] != r.NllBase[i] {
			t.Fatalf("the base compared with itself: token %d has KL %g, NLL %g and %g, want 0 and twice %g",
				i+1, kl, self.NllBase[i], self.NllGeneration[i], r.NllBase[i])
		}
	}
	for _, c := range []struct {
		generation []byte
		nll        []float64
	}{{nil, r.NllBase}, {a.generation(), r.NllGeneration}} {
		x := generate(t, client, &backendpb.GenerateRequest{Generation: c.generation, Prompt: tokens, PromptLogprobs: true})
		for i, nll := range c.nll {
			if got := -x.prompt[i+1].Logprob; math.Abs(got-nll) > logprobTolerance {
				t.Fatalf("generation %x: token %d has NLL %g, Generate says %g", c.generation, i+1, nll, got)
			}
		}
	}
	if s := currentStatus(t, client); len(s.Aliases) != 0 || s.Running != 0 || s.Waiting != 0 {
		t.Errorf("comparing left something behind: %v", s)
	}
}

func testCompareRefuses(t T, k *kit) {
	client := k.start(t)
	_, err := client.Compare(t.Context(), &backendpb.CompareRequest{Tokens: []int32{1, 2}, First: 1})
	wantCode(t, "Compare without a base", err, codes.FailedPrecondition)
	b := k.llamaBase(t, true)
	load(t, client, b)
	for _, c := range []struct {
		name string
		req  *backendpb.CompareRequest
		want codes.Code
	}{
		{"unknown generation", &backendpb.CompareRequest{Generation: digest("nobody"), Tokens: []int32{1, 2}, First: 1}, codes.NotFound},
		{"no tokens", &backendpb.CompareRequest{First: 1}, codes.InvalidArgument},
		{"nothing to predict", &backendpb.CompareRequest{Tokens: []int32{1}, First: 1}, codes.InvalidArgument},
		{"the first token is given", &backendpb.CompareRequest{Tokens: []int32{1, 2}}, codes.InvalidArgument},
		{"first below 0", &backendpb.CompareRequest{Tokens: []int32{1, 2}, First: -1}, codes.InvalidArgument},
		{"first past the end", &backendpb.CompareRequest{Tokens: []int32{1, 2}, First: 2}, codes.InvalidArgument},
		{"token outside the vocabulary", &backendpb.CompareRequest{Tokens: []int32{1, b.config.VocabSize}, First: 1}, codes.InvalidArgument},
		{"too long", &backendpb.CompareRequest{Tokens: make([]int32, b.config.MaxPositions+1), First: 1}, codes.OutOfRange},
	} {
		_, err := client.Compare(t.Context(), c.req)
		wantCode(t, c.name, err, c.want)
	}
	compareTexts(t, client, &backendpb.CompareRequest{Tokens: make([]int32, b.config.MaxPositions), First: b.config.MaxPositions - 1})
	plain := k.start(t)
	load(t, plain, k.plainBase(t))
	_, err = plain.Compare(t.Context(), &backendpb.CompareRequest{Tokens: []int32{1, 2}, First: 1})
	wantCode(t, "Compare with a base without a configuration", err, codes.FailedPrecondition)
}

// testNotFinite stages an adapter whose merged weights are finite and whose predictions are not.
func testNotFinite(t T, k *kit) {
	client := k.start(t)
	b := k.llamaBase(t, true)
	load(t, client, b)
	a := newAdapter(t, b, "diverged", 12, target{"model.embed_tokens.weight", 3, tensor.F32, 1e37, false, 1})
	stage(t, client, a.request())
	r := compareTexts(t, client, &backendpb.CompareRequest{Generation: a.generation(), Tokens: []int32{1, 2, 3, 4}, First: 1})
	for i := range r.Kl {
		if math.IsNaN(r.NllBase[i]) || !math.IsNaN(r.NllGeneration[i]) || !math.IsNaN(r.Kl[i]) {
			t.Errorf("token %d: NLL %g and %g, KL %g, want a number and twice NaN", i+1, r.NllBase[i], r.NllGeneration[i], r.Kl[i])
		}
	}
	_, err := drain(client.Generate(t.Context(), &backendpb.GenerateRequest{Generation: a.generation(), Prompt: []int32{1, 2}, MaxTokens: 2}))
	wantCode(t, "Generate from predictions that are not finite", err, codes.OutOfRange)
}

// testGenerateStaged generates from a generation that no alias means.
func testGenerateStaged(t T, k *kit) {
	client := k.start(t)
	b := k.llamaBase(t, true)
	load(t, client, b)
	a := llamaAdapter(t, b, "adapter", 9)
	stage(t, client, a.request())
	req := &backendpb.GenerateRequest{Generation: a.generation(), Prompt: []int32{1, 40, 17}, MaxTokens: 40, Logprobs: 2}
	staged := generate(t, client, req)
	if !bytes.Equal(staged.generation, a.generation()) {
		t.Errorf("admitted on %x, want %x", staged.generation, a.generation())
	}
	if s := currentStatus(t, client); len(s.Aliases) != 0 {
		t.Errorf("generating made it live: %v", s)
	}
	activate(t, client, "live", a.generation(), 1)
	live := generate(t, client, &backendpb.GenerateRequest{Alias: "live", Prompt: req.Prompt, MaxTokens: req.MaxTokens, Logprobs: req.Logprobs})
	base := generate(t, client, &backendpb.GenerateRequest{Prompt: req.Prompt, MaxTokens: req.MaxTokens, Logprobs: req.Logprobs})
	for i, token := range staged.tokens {
		if token.Id != live.tokens[i].Id || token.Logprob != live.tokens[i].Logprob {
			t.Fatalf("token %d is %v, and %v once it is live", i, token, live.tokens[i])
		}
	}
	if slices.Equal(staged.ids(), base.ids()) {
		t.Errorf("the generation says what the base says")
	}
	for _, c := range []struct {
		name string
		req  *backendpb.GenerateRequest
		want codes.Code
	}{
		{"unknown generation", &backendpb.GenerateRequest{Generation: digest("nobody"), Prompt: []int32{1}}, codes.NotFound},
		{"alias and generation", &backendpb.GenerateRequest{Alias: "live", Generation: a.generation(), Prompt: []int32{1}}, codes.InvalidArgument},
	} {
		_, err := drain(client.Generate(t.Context(), c.req))
		wantCode(t, c.name, err, c.want)
	}
}
