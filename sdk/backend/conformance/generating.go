package conformance

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// logprobTolerance is what a forward pass in f32 may differ from the oracle's in f64.
const logprobTolerance = 2e-4

// text is what one Generate answered.
type text struct {
	generation []byte
	cached     int // tokens of the prompt
	prompt     []*backendpb.Token
	tokens     []*backendpb.Token
	finish     backendpb.Finish_Reason
}

func (x *text) ids() []int32 {
	var ids []int32
	for _, token := range x.tokens {
		ids = append(ids, token.Id)
	}
	return ids
}

// collect checks the order of events: Admitted once, prompt tokens, tokens, Finish once.
func collect(t T, events []*backendpb.GenerateEvent) *text {
	t.Helper()
	x, stage := &text{}, 0
	for i, event := range events {
		var next int
		switch e := event.Event.(type) {
		case *backendpb.GenerateEvent_Admitted:
			x.generation, x.cached = e.Admitted.Generation, int(e.Admitted.CachedTokens)
		case *backendpb.GenerateEvent_Prompt:
			x.prompt, next = append(x.prompt, e.Prompt), 1
		case *backendpb.GenerateEvent_Token:
			x.tokens, next = append(x.tokens, e.Token), 2
		case *backendpb.GenerateEvent_Finish:
			x.finish, next = e.Finish.Reason, 3
		}
		if next < stage || (i == 0) != (next == 0) || (i == len(events)-1) != (next == 3) {
			t.Fatalf("event %d of %d is out of order: %v", i, len(events), event)
		}
		stage = next
	}
	return x
}

func generate(t T, client backendpb.BackendClient, req *backendpb.GenerateRequest) *text {
	t.Helper()
	events, err := drain(client.Generate(t.Context(), req))
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	return collect(t, events)
}

func testGenerate(t T, k *kit) {
	for _, tied := range []bool{false, true} {
		name := "separate head"
		if tied {
			name = "tied head"
		}
		t.Run(name, func(t T) {
			client, b := k.start(t), k.llamaBase(t, tied)
			load(t, client, b)
			a := llamaAdapter(t, b, "adapter", 9)
			stage(t, client, a.request())
			activate(t, client, "live", a.generation(), 1)
			for _, c := range []struct {
				alias string
				id    []byte
				*oracle
			}{{"", nil, b.oracle(nil)}, {"live", a.generation(), b.oracle(a)}} {
				checkGreedy(t, client, c.alias, c.id, c.oracle)
			}
		})
	}
}

// checkGreedy generates past a page or two of any cache and compares every number with the oracle's.
func checkGreedy(t T, client backendpb.BackendClient, alias string, generation []byte, o *oracle) {
	t.Helper()
	prompt := []int32{1, 40, 17, 66, 0, 3}
	x := generate(t, client, &backendpb.GenerateRequest{Alias: alias, Prompt: prompt, MaxTokens: 150, Logprobs: 5, PromptLogprobs: true})
	if !bytes.Equal(x.generation, generation) {
		t.Errorf("alias %q: admitted on %x, want %x", alias, x.generation, generation)
	}
	if len(x.prompt) != len(prompt) || len(x.tokens) != 150 || x.finish != backendpb.Finish_LENGTH {
		t.Fatalf("alias %q: %d prompt tokens, %d tokens, %v", alias, len(x.prompt), len(x.tokens), x.finish)
	}
	if x.prompt[0].HasLogprob || len(x.prompt[0].Alternatives) != 0 {
		t.Errorf("the first prompt token has a log-probability: %v", x.prompt[0])
	}
	all := append(slices.Clone(x.prompt), x.tokens...)
	ids := make([]int32, len(all))
	for i, token := range all {
		ids[i] = token.Id
	}
	if !slices.Equal(ids[:len(prompt)], prompt) {
		t.Errorf("prompt %v came back as %v", prompt, ids[:len(prompt)])
	}
	for i, want := range o.logprobs(ids)[:len(ids)-1] {
		checkToken(t, i+1, all[i+1], want, i+1 >= len(prompt))
		if t.Failed() {
			t.Fatalf("alias %q: the first wrong token is %d", alias, i+1)
		}
	}
	// The same, in few words: greedy again, stopped at a token that came up.
	stop := x.tokens[30].Id
	short := generate(t, client, &backendpb.GenerateRequest{Alias: alias, Prompt: prompt, MaxTokens: 150, Logprobs: -1, Stop: []int32{stop, 5}})
	n := 1 + slices.IndexFunc(x.tokens, func(token *backendpb.Token) bool { return token.Id == stop || token.Id == 5 })
	if !slices.Equal(short.ids(), x.ids()[:n]) || short.finish != backendpb.Finish_STOP || len(short.prompt) != 0 {
		t.Errorf("alias %q: stopped text %v %v, want %v", alias, short.ids(), short.finish, x.ids()[:n])
	}
	if last := short.tokens[n-1]; last.HasLogprob || last.Logprob != 0 || len(last.Alternatives) != 0 {
		t.Errorf("log-probability that nobody asked for: %v", last)
	}
	none := generate(t, client, &backendpb.GenerateRequest{Alias: alias, Prompt: prompt, PromptLogprobs: true})
	if len(none.tokens) != 0 || len(none.prompt) != len(prompt) || none.finish != backendpb.Finish_LENGTH || len(none.prompt[1].Alternatives) != 0 ||
		none.prompt[5].Logprob != x.prompt[5].Logprob {
		t.Errorf("prompt only: %v", none)
	}
}

// checkToken compares one token with the oracle's log-probabilities of its place.
func checkToken(t T, place int, token *backendpb.Token, want []float64, greedy bool) {
	t.Helper()
	near := func(id int32, got float64) {
		if math.Abs(got-want[id]) > logprobTolerance {
			t.Errorf("token %d: log-probability of %d is %g, want %g", place, id, got, want[id])
		}
	}
	if !token.HasLogprob || len(token.Alternatives) != 5 {
		t.Errorf("token %d: %v", place, token)
		return
	}
	near(token.Id, token.Logprob)
	largest := slices.Max(want)
	if greedy && want[token.Id] < largest-2*logprobTolerance {
		t.Errorf("token %d: greedy took %d at %g, the largest is %g", place, token.Id, want[token.Id], largest)
	}
	sorted := slices.Sorted(slices.Values(want))
	for i, alternative := range token.Alternatives {
		near(alternative.Id, alternative.Logprob)
		if rank := sorted[len(sorted)-1-i]; math.Abs(alternative.Logprob-rank) > logprobTolerance {
			t.Errorf("token %d: alternative %d has %g, want %g", place, i, alternative.Logprob, rank)
		}
	}
	if !slices.IsSortedFunc(token.Alternatives, func(a, b *backendpb.Alternative) int {
		return cmp.Or(cmp.Compare(b.Logprob, a.Logprob), cmp.Compare(a.Id, b.Id))
	}) {
		t.Errorf("token %d: alternatives are not in order: %v", place, token.Alternatives)
	}
}

func testGenerateRefuses(t T, k *kit) {
	client := k.start(t)
	_, err := drain(client.Generate(t.Context(), &backendpb.GenerateRequest{Prompt: []int32{1}}))
	wantCode(t, "Generate without a base", err, codes.FailedPrecondition)
	b := k.llamaBase(t, true)
	load(t, client, b)
	for _, c := range []struct {
		name string
		req  *backendpb.GenerateRequest
		want codes.Code
	}{
		{"unknown alias", &backendpb.GenerateRequest{Alias: "nobody", Prompt: []int32{1}}, codes.NotFound},
		{"empty prompt", &backendpb.GenerateRequest{MaxTokens: 1}, codes.InvalidArgument},
		{"token below the vocabulary", &backendpb.GenerateRequest{Prompt: []int32{1, -1}}, codes.InvalidArgument},
		{"token above the vocabulary", &backendpb.GenerateRequest{Prompt: []int32{1, b.config.VocabSize}}, codes.InvalidArgument},
		{"too long", &backendpb.GenerateRequest{Prompt: []int32{1, 2}, MaxTokens: b.config.MaxPositions - 1}, codes.OutOfRange},
		{"far too long", &backendpb.GenerateRequest{Prompt: []int32{1}, MaxTokens: math.MaxInt32}, codes.OutOfRange},
		{"negative max_tokens", &backendpb.GenerateRequest{Prompt: []int32{1}, MaxTokens: -1}, codes.InvalidArgument},
		{"negative temperature", &backendpb.GenerateRequest{Prompt: []int32{1}, Temperature: -0.5}, codes.InvalidArgument},
		{"temperature NaN", &backendpb.GenerateRequest{Prompt: []int32{1}, Temperature: math.NaN()}, codes.InvalidArgument},
		{"top_p above 1", &backendpb.GenerateRequest{Prompt: []int32{1}, TopP: 1.1}, codes.InvalidArgument},
		{"21 alternatives", &backendpb.GenerateRequest{Prompt: []int32{1}, Logprobs: 21}, codes.InvalidArgument},
		{"-2 alternatives", &backendpb.GenerateRequest{Prompt: []int32{1}, Logprobs: -2}, codes.InvalidArgument},
	} {
		_, err := drain(client.Generate(t.Context(), c.req))
		wantCode(t, c.name, err, c.want)
	}
	full := generate(t, client, &backendpb.GenerateRequest{Prompt: []int32{1, 2}, MaxTokens: b.config.MaxPositions - 2, Logprobs: -1})
	if len(full.tokens) != int(b.config.MaxPositions)-2 {
		t.Errorf("a text that just fits has %d tokens", len(full.tokens))
	}

	plain := k.start(t)
	load(t, plain, k.plainBase(t))
	_, err = drain(plain.Generate(t.Context(), &backendpb.GenerateRequest{Prompt: []int32{1}}))
	wantCode(t, "Generate with a base without a configuration", err, codes.FailedPrecondition)
}

// testPinned reads a text slowly while the alias moves on and its generation is released.
func testPinned(t T, k *kit) {
	client := k.start(t)
	b := k.llamaBase(t, true)
	load(t, client, b)
	one, two := llamaAdapter(t, b, "one", 10), llamaAdapter(t, b, "two", 11)
	stage(t, client, one.request())
	stage(t, client, two.request())
	activate(t, client, "live", one.generation(), 1)
	// Twenty alternatives make the text larger than what gRPC buffers, so that it cannot be over before it is read.
	req := &backendpb.GenerateRequest{Alias: "live", Prompt: []int32{1, 2, 3}, MaxTokens: 450, Logprobs: 20}
	want := generate(t, client, req)

	stream, err := client.Generate(t.Context(), req)
	if err != nil {
		t.Fatalf("%v", err)
	}
	first, err := stream.Recv()
	if err != nil || !bytes.Equal(first.GetAdmitted().GetGeneration(), one.generation()) {
		t.Fatalf("first event %v, %v", first, err)
	}
	activate(t, client, "live", two.generation(), 2)
	released, err := client.Release(t.Context(), &backendpb.ReleaseRequest{Generation: one.generation()})
	if err != nil || !released.Existed {
		t.Errorf("Release: %v, %v", released, err)
	}
	if after := generate(t, client, req); !bytes.Equal(after.generation, two.generation()) || slices.Equal(after.ids(), want.ids()) {
		t.Errorf("a request after the switch is on %x", after.generation)
	}
	rest, err := drain(stream, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if got := collect(t, append([]*backendpb.GenerateEvent{first}, rest...)); !slices.Equal(got.ids(), want.ids()) {
		t.Errorf("the text changed when the alias moved on:\n%v\n%v", got.ids(), want.ids())
	}
	if s := currentStatus(t, client); len(s.Generations) != 1 || !bytes.Equal(s.Generations[0].Generation, two.generation()) {
		t.Errorf("status: %v", s)
	}
}

func testGenerateCanceled(t T, k *kit) {
	client := k.start(t)
	load(t, client, k.llamaBase(t, true))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := client.Generate(ctx, &backendpb.GenerateRequest{Prompt: []int32{1}, MaxTokens: 500, Logprobs: 20})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for range 3 {
		if _, err := stream.Recv(); err != nil {
			t.Fatalf("%v", err)
		}
	}
	cancel()
	for currentStatus(t, client).Running != 0 {
		time.Sleep(time.Millisecond) // the test's own deadline ends a backend that never notices
	}
	if s := currentStatus(t, client); s.Waiting != 0 {
		t.Errorf("status: %v", s)
	}
}

func testSampling(t T, k *kit) {
	client := k.start(t)
	load(t, client, k.llamaBase(t, false))
	sample := func(seed uint64, temperature, topP float64) []int32 {
		return generate(t, client, &backendpb.GenerateRequest{
			Prompt: []int32{1, 2}, MaxTokens: 60, Temperature: temperature, TopP: topP, Seed: seed, Logprobs: -1}).ids()
	}
	greedy := sample(0, 0, 0)
	if again := sample(1, 1, 0); !slices.Equal(again, sample(1, 1, 0)) || slices.Equal(again, sample(2, 1, 0)) || slices.Equal(again, greedy) {
		t.Errorf("a seed does not repeat, or does not matter")
	}
	if again := sample(1, 1, 0.7); !slices.Equal(again, sample(1, 1, 0.7)) {
		t.Errorf("a seed does not repeat with top_p")
	}
	if !slices.Equal(sample(3, 5, 1e-9), greedy) {
		t.Errorf("top_p of next to nothing keeps more than the most likely token")
	}
	if !slices.Equal(sample(3, 1e-6, 0), greedy) {
		t.Errorf("a temperature next to 0 is not greedy")
	}
}
