package cpu

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// smallModel is large enough for texts of several pages, and fast.
func smallModel(t testing.TB) *model {
	return randomModel(t, tensor.BF16, &backendpb.ModelConfig{
		HiddenSize: 48, IntermediateSize: 80, Layers: 2, Heads: 4, KvHeads: 2, HeadDim: 16, VocabSize: 90, MaxPositions: 4096,
	})
}

// serving returns a backend whose base is m.
func serving(m *model, options Options) *Backend {
	b := New(options)
	pristine := newGeneration("")
	pristine.model = m
	b.base.Store(&base{pristine: pristine})
	return b
}

// published registers a generation of m, which lies in memory, and makes it live.
func published(t testing.TB, b *Backend, m *model, memory *block, id string, sequence uint64) *generation {
	t.Helper()
	g := newGeneration(id)
	g.model, g.memory = m, memory
	b.mu.Lock()
	b.generations[id] = g
	b.mu.Unlock()
	if _, err := b.Activate(t.Context(), &backendpb.ActivateRequest{Alias: "live", Generation: []byte(id), Sequence: sequence}); err != nil {
		t.Fatal(err)
	}
	return g
}

func textOf(t testing.TB, client backendpb.BackendClient, req *backendpb.GenerateRequest) []*backendpb.GenerateEvent {
	t.Helper()
	return receiveAll(t, func() (grpc.ServerStreamingClient[backendpb.GenerateEvent], error) {
		return client.Generate(t.Context(), req)
	})
}

// sameText compares all events to the bit, but how many tokens were taken from other texts, which it returns.
func sameText(t testing.TB, what string, got, want []*backendpb.GenerateEvent) int {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d events, alone %d", what, len(got), len(want))
	}
	for i := 1; i < len(got); i++ {
		if !proto.Equal(got[i], want[i]) {
			t.Fatalf("%s: event %d is %v, alone %v", what, i, got[i], want[i])
		}
	}
	return int(got[0].GetAdmitted().CachedTokens)
}

// TestTextsDoNotMeet generates texts alone, and again among others of two generations, with pages of texts before, and with texts that end at any
// moment beside them. Every number is the same to the bit.
func TestTextsDoNotMeet(t *testing.T) {
	m := smallModel(t)
	long := randomText(m, 400)
	other := randomModel(t, tensor.F16, &backendpb.ModelConfig{
		HiddenSize: 48, IntermediateSize: 80, Layers: 2, Heads: 4, KvHeads: 2, HeadDim: 16, VocabSize: 90, MaxPositions: 4096,
	})
	var texts []*backendpb.GenerateRequest
	for i := range 15 {
		req := &backendpb.GenerateRequest{Prompt: long[:1+i*27], MaxTokens: int32(1 + i*5), Logprobs: int32(i%5 - 1), Seed: uint64(i)}
		if i%2 == 1 {
			req.Alias = "live"
		}
		if i%3 == 1 {
			req.Temperature = 1.5
		}
		req.PromptLogprobs = i%4 == 3
		texts = append(texts, req)
	}
	alone := make([][]*backendpb.GenerateEvent, len(texts))
	for i, req := range texts {
		b := serving(m, Options{Workers: 1, PrefixBytes: 1})
		published(t, b, other, nil, "other", 1)
		alone[i] = textOf(t, connect(t, b), req)
	}
	b := serving(m, Options{Workers: 3, Texts: 12})
	published(t, b, other, nil, "other", 1)
	client := connect(t, b)
	taken := 0
	for round := range 3 {
		var group sync.WaitGroup
		got := make([][]*backendpb.GenerateEvent, len(texts))
		for i, req := range texts {
			group.Go(func() { got[i] = textOf(t, client, req) })
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
				defer cancel()
				stream, err := client.Generate(ctx, &backendpb.GenerateRequest{Alias: req.Alias, Prompt: long, MaxTokens: 3500})
				for err == nil {
					_, err = stream.Recv()
				}
				if code := status.Code(err); code != codes.DeadlineExceeded {
					t.Errorf("a text beyond its deadline: %v", err)
				}
			})
		}
		group.Wait()
		for i := range texts {
			cached := sameText(t, fmt.Sprintf("round %d, text %d", round, i), got[i], alone[i])
			if limit := len(texts[i].Prompt) - 1; cached%pageTokens != 0 || cached > limit || texts[i].PromptLogprobs && cached > 0 {
				t.Errorf("text %d: %d of %d tokens were cached", i, cached, len(texts[i].Prompt))
			}
			taken += cached
		}
	}
	if taken == 0 {
		t.Error("no text took pages of another")
	}
	s, err := client.Status(t.Context(), &backendpb.StatusRequest{})
	if err != nil || s.Running != 0 || s.Waiting != 0 || s.CachedPromptTokens < uint64(taken) || s.CacheBytes == 0 {
		t.Errorf("status: %v, %v", s, err)
	}
	if e := b.engine.Load(); int(s.CacheBytes) != e.store.idle.Len()*e.store.bytes {
		t.Errorf("%d bytes are held, %d pages of %d are kept", s.CacheBytes, e.store.idle.Len(), e.store.bytes)
	}
}

// TestTextsAtOnceShare asks for texts that begin alike at the same time: what they have in common is computed once.
func TestTextsAtOnceShare(t *testing.T) {
	m := smallModel(t)
	b := serving(m, Options{Workers: 2})
	client := connect(t, b)
	prompt := randomText(m, 5*pageTokens+1)
	var group sync.WaitGroup
	cached := make([]int, 8)
	for i := range cached {
		group.Go(func() {
			events := textOf(t, client, &backendpb.GenerateRequest{Prompt: prompt, MaxTokens: 3, Seed: uint64(i), Temperature: 1})
			cached[i] = int(events[0].GetAdmitted().CachedTokens)
		})
	}
	group.Wait()
	slices.Sort(cached)
	if cached[0] != 0 || cached[1] != 5*pageTokens {
		t.Errorf("of %d tokens %v were cached", len(prompt), cached)
	}
}

// textIn puts a request into a lane, as join does.
func textIn(t *testing.T, e *engine, l *lane, req *backendpb.GenerateRequest) *text {
	tokens := len(req.Prompt) + int(req.MaxTokens)
	x := &text{
		ctx: t.Context(), request: req, generation: l.generation, queue: make(chan *backendpb.GenerateEvent, tokens+2), leave: func() {},
		cache: cache{config: l.generation.model.config, store: &e.store}, tokens: slices.Clone(req.Prompt),
	}
	l.texts = append(l.texts, x)
	return x
}

// TestPromptsDoNotStall reads a prompt of 4,000 tokens, and a short one behind it, beside a text that is being written.
func TestPromptsDoNotStall(t *testing.T) {
	m := smallModel(t)
	b := serving(m, Options{Workers: 1})
	e := b.engineOf(m)
	crew := newCrew(1)
	defer crew.dismiss()
	batch, l := newBatch(e, newPass(crew)), &lane{generation: b.base.Load().pristine}
	e.lanes = []*lane{l}
	writing := textIn(t, e, l, &backendpb.GenerateRequest{Prompt: []int32{1}, MaxTokens: 1000, Logprobs: -1})
	batch.step(l)
	long := textIn(t, e, l, &backendpb.GenerateRequest{Prompt: randomText(m, 4000), Logprobs: -1})
	short := textIn(t, e, l, &backendpb.GenerateRequest{Prompt: []int32{2, 3, 4}, MaxTokens: 1, Logprobs: -1})
	passes := 0
	for ; !long.over; passes++ {
		before := len(writing.tokens)
		batch.step(l)
		if len(writing.tokens) != before+1 {
			t.Fatalf("pass %d wrote %d tokens", passes, len(writing.tokens)-before)
		}
		if passes == 2 && !short.over {
			t.Error("a short prompt waits for a long one")
		}
	}
	if want := 4000 / sharedRows; passes < want || passes > want+2 {
		t.Errorf("a prompt of 4000 tokens took %d passes, want about %d", passes, want)
	}
	if long.err != nil || writing.err != nil || short.err != nil {
		t.Errorf("%v, %v, %v", long.err, writing.err, short.err)
	}
	// Alone, a prompt has all rows of a pass.
	alone := &lane{generation: l.generation}
	e.lanes = []*lane{alone}
	x := textIn(t, e, alone, &backendpb.GenerateRequest{Prompt: []int32{5, 6, 7}, MaxTokens: 0})
	x.request.Prompt = randomText(m, 4000)
	x.tokens = append([]int32{9}, x.request.Prompt[1:]...) // not what the long one began with
	batch.step(alone)
	if x.evaluated != passRows {
		t.Errorf("a prompt alone: %d tokens in a pass, want %d", x.evaluated, passRows)
	}
}

// TestFollows has a text wait while another computes what both begin with, and no longer. Prompts are compared once, whatever the passes.
func TestFollows(t *testing.T) {
	for _, c := range []struct{ first, waiting, same, want int }{ // tokens of the prompts, how many are the same, and what is shared of them
		{300, 300, 300, 256}, {300, 300, 256, 256}, {300, 300, 255, 192}, {300, 300, 0, 0}, {257, 256, 256, 192}, {128, 300, 128, 128}, {60, 60, 60, 0},
	} {
		prompt := func(n int, last int32) *text {
			tokens := make([]int32, n)
			for i := c.same; i < n; i++ {
				tokens[i] = last
			}
			return &text{ctx: t.Context(), request: &backendpb.GenerateRequest{Prompt: tokens}, tokens: slices.Clone(tokens)}
		}
		first, waiting := prompt(c.first, 1), prompt(c.waiting, 2)
		first.begun = true
		l := &lane{texts: []*text{first, waiting}}
		for ; first.reading(); first.evaluated++ {
			if got := l.follows(waiting); got != (first.evaluated < c.want) {
				t.Fatalf("%+v: with %d tokens evaluated, it waits: %v", c, first.evaluated, got)
			}
			clear(waiting.tokens) // nobody looks at them again
			waiting.tokens[0] = -1
		}
		if l.follows(waiting) || len(l.common) != 1 {
			t.Errorf("%+v: it waits for a text that is read, or %d pairs are remembered", c, len(l.common))
		}
	}
	// What is remembered of texts goes with them.
	m := smallModel(t)
	b := serving(m, Options{Workers: 1})
	e := b.engineOf(m)
	crew := newCrew(1)
	defer crew.dismiss()
	batch, l := newBatch(e, newPass(crew)), &lane{generation: b.base.Load().pristine}
	e.lanes = []*lane{l}
	long := randomText(m, 2*passRows+1)
	for range 3 {
		textIn(t, e, l, &backendpb.GenerateRequest{Prompt: long})
	}
	most := 0
	for len(l.texts) > 0 {
		batch.step(l)
		most = max(most, len(l.common))
	}
	if most == 0 || len(l.common) > 0 {
		t.Errorf("%d pairs were remembered, and %d are", most, len(l.common))
	}
}

// TestCancelEndsWithinAStep cancels a text, which must not get another row.
func TestCancelEndsWithinAStep(t *testing.T) {
	m := smallModel(t)
	b := serving(m, Options{Workers: 1})
	e := b.engineOf(m)
	crew := newCrew(1)
	defer crew.dismiss()
	batch, l := newBatch(e, newPass(crew)), &lane{generation: b.base.Load().pristine}
	e.lanes = []*lane{l}
	x := textIn(t, e, l, &backendpb.GenerateRequest{Prompt: randomText(m, 300), MaxTokens: 9})
	ctx, cancel := context.WithCancel(t.Context())
	x.ctx = ctx
	batch.step(l)
	cancel()
	batch.step(l)
	if !x.over || status.Code(x.err) != codes.Canceled || x.evaluated != passRows || len(l.texts) != 0 {
		t.Errorf("over: %v, error: %v, %d tokens evaluated, %d texts left", x.over, x.err, x.evaluated, len(l.texts))
	}
	for range x.queue {
	} // is closed
	// One that is canceled within a pass ends between layers.
	y := textIn(t, e, l, &backendpb.GenerateRequest{Prompt: randomText(m, 300), MaxTokens: 9})
	ctx, cancel = context.WithCancel(t.Context())
	y.ctx = ctx
	batch.plan(l)
	before := y.evaluated // of the other's pages
	cancel()
	batch.compute(l)
	if !y.over || status.Code(y.err) != codes.Canceled || y.evaluated != before {
		t.Errorf("over: %v, error: %v, %d tokens evaluated", y.over, y.err, y.evaluated)
	}
}
