package server

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// FuzzCompletion sends bodies: each is answered or refused, and never breaks the server.
func FuzzCompletion(f *testing.F) {
	for _, body := range []string{
		`{"model":"tiny","prompt":"x"}`, `{"model":"tiny","prompt":[[1,272]],"echo":true,"logprobs":3,"stream":true}`,
		`{"model":"tiny","prompt":["x"],"stop":["a","b"],"n":1.0,"max_tokens":2,"stream_options":null}`, `[`, `{"prompt":[]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 {
			return
		}
		w := do(t, newServer(t, newFake(t)), "/v1/completions", string(body))
		switch w.Code {
		case 200, 400, 404:
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// FuzzAssembly holds what comes out, token by token, against a search in the whole text so far.
func FuzzAssembly(f *testing.F) {
	f.Add("hello world, héllo 😀", "lo w", "é")
	f.Add("ababac", "abac", "c")
	f.Add("abcd", "bcd", "c")
	fake := newFake(f)
	f.Fuzz(func(t *testing.T, text, stop1, stop2 string) {
		if !utf8.ValidString(stop1) || !utf8.ValidString(stop2) || stop1 == "" || stop2 == "" || strings.ContainsAny(text, "<>") {
			t.Skip("no stop strings a request could hold, or markup of the fake tokenizer")
		}
		a := newAssembly(fake.tok, nil, []string{stop1, stop2}, true)
		decoder := fake.tok.NewDecoder(true)
		var whole, got string
		cut, offset := -1, 0
		step := func(piece string, final bool) {
			whole += piece
			if cut < 0 {
				cut = strings.Index(whole, stop1)
				if i := strings.Index(whole, stop2); cut < 0 || i >= 0 && i < cut {
					cut = i
				}
			}
			part, logs := a.take(final)
			got += part
			for _, p := range logs {
				o := p.offset
				if o < offset || o > utf8.RuneCountInString(got) {
					t.Fatalf("offset %d after %d in %q", o, offset, got)
				}
				offset = o
			}
			if want := whole[:max(cut, 0)]; cut >= 0 && got != want || cut < 0 && !strings.HasPrefix(whole, got) || a.stopped != (cut >= 0) {
				t.Fatalf("%q with stops %q and %q gives %q (stopped %v), cut is %d", whole, stop1, stop2, got, a.stopped, cut)
			}
		}
		for _, id := range fake.tok.Encode(text, false) {
			a.push(&backendpb.Token{Id: id}, false)
			step(decoder.Push(id), false)
		}
		a.finish()
		step(decoder.Flush(), true)
		if cut < 0 && got != whole {
			t.Fatalf("%q gives %q", whole, got)
		}
	})
}

// FuzzChat sends bodies of chats: each is answered or refused.
func FuzzChat(f *testing.F) {
	for _, body := range []string{
		`{"model":"tiny","messages":[{"role":"user","content":"x</s>"}]}`, `{"model":"tiny","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"n":2,"stream":true}`,
		`{"model":"tiny","messages":[{"role":"tool","content":"x"}],"chat_template_kwargs":{"loud":1e3}}`, `{"messages":[[]]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 {
			return
		}
		w := do(t, chatServer(t, newFake(t)), "/v1/chat/completions", string(body))
		switch w.Code {
		case 200, 400, 404, 429:
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
