package conformance

import (
	"bytes"
	"context"
	"sync"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// checkWritten compares what was generated after a prompt, each token with five alternatives, with the oracle.
func checkWritten(t T, what string, x *text, prompt []int32, o *oracle) {
	t.Helper()
	ids := append(append([]int32(nil), prompt...), x.ids()...)
	want := o.logprobs(ids)
	for i, token := range x.tokens {
		checkToken(t, len(prompt)+i, token, want[len(prompt)+i-1], true)
		if t.Failed() {
			t.Fatalf("%s: the first wrong token is %d", what, len(prompt)+i)
		}
	}
}

// testSideBySide generates texts of different lengths, of two generations, at the same time, while others are canceled between them.
func testSideBySide(t T, k *kit) {
	client, b := k.start(t), k.llamaBase(t, true)
	load(t, client, b)
	a := llamaAdapter(t, b, "adapter", 9)
	stage(t, client, a.request())
	activate(t, client, "live", a.generation(), 1)
	type one struct {
		alias  string
		prompt []int32
		tokens int
		events []*backendpb.GenerateEvent
		err    error
	}
	var texts []*one
	long := comparedText(b)
	for i := range 8 {
		alias := []string{"", "live"}[i%2]
		texts = append(texts, &one{alias: alias, prompt: long[i*9 : i*9+1+i*11%70], tokens: 10 + i*7})
	}
	var group sync.WaitGroup
	for i, x := range texts {
		group.Go(func() {
			x.events, x.err = drain(client.Generate(t.Context(), &backendpb.GenerateRequest{
				Alias: x.alias, Prompt: x.prompt, MaxTokens: int32(x.tokens), Logprobs: 5}))
		})
		group.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stream, err := client.Generate(ctx, &backendpb.GenerateRequest{Alias: x.alias, Prompt: long, MaxTokens: 300, Logprobs: 20})
			for range 1 + 2*i {
				if err == nil {
					_, err = stream.Recv()
				}
			}
		})
	}
	group.Wait()
	oracles := map[string]*oracle{"": b.oracle(nil), "live": b.oracle(a)}
	for _, x := range texts {
		if x.err != nil {
			t.Fatalf("Generate: %v", x.err)
		}
		got := collect(t, x.events)
		if len(got.tokens) != x.tokens || got.finish != backendpb.Finish_LENGTH {
			t.Fatalf("%d tokens of %d, %v", len(got.tokens), x.tokens, got.finish)
		}
		checkWritten(t, "alias \""+x.alias+"\"", got, x.prompt, oracles[x.alias])
	}
}

// testAlike generates texts that begin alike, one after the other, of two generations: what is kept of one text may serve those of its own generation
// only, and no number shows it.
func testAlike(t T, k *kit) {
	client, b := k.start(t), k.llamaBase(t, true)
	load(t, client, b)
	one, two := llamaAdapter(t, b, "one", 10), llamaAdapter(t, b, "two", 11)
	stage(t, client, one.request())
	stage(t, client, two.request())
	long := comparedText(b)
	other := append(append([]int32(nil), long[:140]...), 3, 4, 5)
	taken := uint64(0)
	for _, c := range []struct {
		what   string
		a      *Adapter
		prompt []int32
	}{
		{"the first text", one, long}, {"the same again", one, long}, {"one that ends otherwise", one, other}, {"one that is shorter", one, long[:70]},
		{"another generation's", two, long}, {"the first generation's again", one, other},
	} {
		req := &backendpb.GenerateRequest{Generation: c.a.generation(), Prompt: c.prompt, MaxTokens: 12, Logprobs: 5}
		x := generate(t, client, req)
		if !bytes.Equal(x.generation, c.a.generation()) || x.cached < 0 || x.cached >= len(c.prompt) || c.a == two && x.cached > 0 {
			t.Errorf("%s: admitted on %x with %d of %d tokens cached", c.what, x.generation, x.cached, len(c.prompt))
		}
		taken += uint64(x.cached)
		checkWritten(t, c.what, x, c.prompt, b.oracle(c.a))
		// What each token of the prompt predicts is told in any case.
		req.MaxTokens, req.PromptLogprobs = 0, true
		full := generate(t, client, req)
		taken += uint64(full.cached)
		if len(full.prompt) != len(c.prompt) {
			t.Fatalf("%s: %d tokens of a prompt of %d", c.what, len(full.prompt), len(c.prompt))
		}
		for i, want := range b.oracle(c.a).logprobs(c.prompt)[:len(c.prompt)-1] {
			checkToken(t, i+1, full.prompt[i+1], want, false)
		}
	}
	if s := currentStatus(t, client); s.CachedPromptTokens != taken {
		t.Errorf("status counts %d cached tokens of prompts, the texts %d", s.CachedPromptTokens, taken)
	}
}
