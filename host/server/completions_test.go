package server

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// answer is a completion as a client reads it.
type answer struct {
	ID, Object, Model string
	Created           int64
	Fingerprint       string `json:"system_fingerprint"`
	Choices           []struct {
		Index    int
		Text     string
		Logprobs *struct {
			Tokens        []string             `json:"tokens"`
			TokenLogprobs []*float64           `json:"token_logprobs"`
			TopLogprobs   []map[string]float64 `json:"top_logprobs"`
			TextOffset    []int                `json:"text_offset"`
		}
		FinishReason *string `json:"finish_reason"`
	}
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
		TotalTokens      int `json:"total_tokens"`
	}
}

// complete sends a completion and reads the answer, streamed or not; the chunks of a stream are joined. It also returns each chunk's text.
func complete(t *testing.T, s *Server, body string) (answer, []string) {
	t.Helper()
	w := do(t, s, "/v1/completions", body)
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var all answer
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
		decodeLoose(t, w.Body.String(), &all)
		return all, nil
	}
	var texts []string
	events := strings.Split(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n")
	for i, event := range events {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok || strings.Contains(data, "\n") {
			t.Fatalf("event %q", event)
		}
		if data == "[DONE]" {
			if i != len(events)-1 {
				t.Fatal("[DONE] is not the last event")
			}
			return all, texts
		}
		var one answer
		decodeLoose(t, data, &one)
		if all.ID == "" {
			all = one
			all.Choices = slices.Clone(one.Choices)
			all.Choices[0].Text = ""
		} else if one.ID != all.ID || one.Fingerprint != all.Fingerprint || one.Created != all.Created {
			t.Errorf("chunk %s differs from the first", data)
		}
		if one.Usage != nil {
			all.Usage = one.Usage
			continue
		}
		c := &all.Choices[0]
		c.Text += one.Choices[0].Text
		c.FinishReason = one.Choices[0].FinishReason
		texts = append(texts, one.Choices[0].Text)
		if more := one.Choices[0].Logprobs; more != nil && len(texts) > 1 {
			c.Logprobs.Tokens = append(c.Logprobs.Tokens, more.Tokens...)
			c.Logprobs.TokenLogprobs = append(c.Logprobs.TokenLogprobs, more.TokenLogprobs...)
			c.Logprobs.TopLogprobs = append(c.Logprobs.TopLogprobs, more.TopLogprobs...)
			c.Logprobs.TextOffset = append(c.Logprobs.TextOffset, more.TextOffset...)
		}
	}
	t.Fatal("no [DONE]")
	return all, nil
}

// ids are tokens of a text without the template. No merge makes " world", so it is put in by hand.
func ids(f *fake, text string) []int32 {
	var out []int32
	for i, part := range strings.Split(text, " world") {
		if i > 0 {
			out = append(out, world)
		}
		out = append(out, f.tok.Encode(part, false)...)
	}
	return out
}

func TestCompletionTexts(t *testing.T) {
	for _, c := range []struct {
		name, script, fields string
		end                  bool // the script ends with the end of the text
		text, finish         string
		generated            int
		tokens               []string // with logprobs
		offsets              []int
	}{
		{"to the end", " thehello world", `"prompt":"the"`, true, " thehello world", "stop", 4, nil, nil},
		{"to the length", " thehello world", `"prompt":"the","max_tokens":2`, true, " thehello", "length", 2, nil, nil},
		{"echo", " world", `"prompt":"hello","echo":true`, true, "hello world", "stop", 2, nil, nil},
		{"echo only", " world", `"prompt":"hello","echo":true,"max_tokens":0`, true, "hello", "length", 0, nil, nil},
		{"echo of special text", " world", `"prompt":"a</s>b","echo":true`, true, "a</s>b world", "stop", 2, nil, nil},
		{"echo of ids", " world", `"prompt":[1,272],"echo":true`, true, "hello world", "stop", 2, nil, nil},
		{"ids in an array", " world", `"prompt":[[1,272]],"echo":true`, true, "hello world", "stop", 2, nil, nil},
		{"text in an array", " world", `"prompt":["hello"],"echo":true`, true, "hello world", "stop", 2, nil, nil},
		{"empty prompt", " world", `"prompt":"","echo":true`, true, " world", "stop", 2, nil, nil},
		{"stop string", "abcxyz", `"prompt":"q","stop":"x"`, true, "abc", "stop", 2, []string{"abc"}, []int{0}},
		{"stop string across tokens", "hello world", `"prompt":"q","stop":["o wor"]`, true, "hell", "stop", 2, []string{"hello"}, []int{0}},
		{"earliest of two", "abcxyz", `"prompt":"q","stop":["z","y"]`, true, "abcx", "stop", 3, []string{"abc", "x"}, []int{0, 3}},
		{"stop that almost came", "hello the world", `"prompt":"q","stop":["o wor"]`, true, "hello the world", "stop", 4,
			[]string{"hello", " the", " world", "</s>"}, []int{0, 5, 9, 15}},
		{"overlapping beginnings", "ababac", `"prompt":"q","stop":["abac"]`, true, "ab", "stop", 4, []string{"ab"}, []int{0}},
		{"stop at once", "xyz", `"prompt":"q","stop":["x"]`, true, "", "stop", 1, nil, nil},
		{"stop only in the prompt", " world", `"prompt":"xx","stop":["x"],"echo":true`, true, "xx world", "stop", 2,
			[]string{"<s>", "x", "x", " world", "</s>"}, []int{0, 0, 1, 2, 8}},
		{"held back at the end", "hello", `"prompt":"q","stop":["low"]`, true, "hello", "stop", 2, []string{"hello", "</s>"}, []int{0, 5}},
		{"code points", "é😀x", `"prompt":"q"`, true, "é😀x", "stop", 5,
			[]string{"é", `bytes:\xf0\x9f\x98`, `bytes:\x80`, "x", "</s>"}, []int{0, 1, 1, 2, 3}},
		{"cut code point", "x😀", `"prompt":"q","max_tokens":2`, true, "x\uFFFD", "length", 2, []string{"x", `bytes:\xf0\x9f\x98`}, []int{0, 1}},
		{"special tokens", "a<unk>b", `"prompt":"q"`, true, "ab", "stop", 4, []string{"a", "<unk>", "b", "</s>"}, []int{0, 1, 1, 2}},
		{"echo and logprobs", " world", `"prompt":"hello the","echo":true`, true, "hello the world", "stop", 2,
			[]string{"<s>", "hello", " the", " world", "</s>"}, []int{0, 0, 5, 9, 15}},
		{"echo of ids and logprobs", " world", `"prompt":[1,272],"echo":true`, true, "hello world", "stop", 2,
			[]string{"<s>", "hello", " world", "</s>"}, []int{0, 0, 5, 11}},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stream=%v", c.name, stream), func(t *testing.T) {
				f := newFake(t)
				f.script = ids(f, c.script)
				if c.end {
					f.script = append(f.script, eos)
				}
				fields := c.fields
				if stream {
					fields += `,"stream":true,"stream_options":{"include_usage":true}`
				}
				if c.tokens != nil {
					fields += `,"logprobs":2`
				}
				got, _ := complete(t, newServer(t, f), `{"model":"tiny",`+fields+`}`)
				choice := got.Choices[0]
				if choice.Text != c.text || choice.FinishReason == nil || *choice.FinishReason != c.finish {
					t.Errorf("text %q, finish %v", choice.Text, choice.FinishReason)
				}
				if got.Object != "text_completion" || got.Model != "tiny" || got.Fingerprint != "base" || !strings.HasPrefix(got.ID, "cmpl-") {
					t.Errorf("object %+v", got)
				}
				prompt := len(f.requests[0].GetPrompt())
				if got.Usage.CompletionTokens != c.generated || got.Usage.PromptTokens != prompt || got.Usage.TotalTokens != prompt+c.generated {
					t.Errorf("usage %+v, want %d and %d", got.Usage, prompt, c.generated)
				}
				if (choice.Logprobs != nil) != (c.tokens != nil) {
					t.Fatalf("logprobs %+v", choice.Logprobs)
				}
				if c.tokens != nil && (!slices.Equal(choice.Logprobs.Tokens, c.tokens) || !slices.Equal(choice.Logprobs.TextOffset, c.offsets)) {
					t.Errorf("tokens %q at %v, want %q at %v", choice.Logprobs.Tokens, choice.Logprobs.TextOffset, c.tokens, c.offsets)
				}
			})
		}
	}
}

func TestLogprobs(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f)
	w := do(t, s, "/v1/completions", `{"model":"tiny","prompt":"hello","echo":true,"logprobs":1,"max_tokens":2}`)
	want := `"logprobs":{"tokens":["<s>","hello"," the","hello"],"token_logprobs":[null,-0.25,-0.5,-0.75],` +
		`"top_logprobs":[null,{" the":0,"hello":-0.25},{" the":0},{" the":0,"hello":-0.75}],"text_offset":[0,0,5,9]}`
	if !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %s\nwant %s", w.Body, want)
	}
	w = do(t, s, "/v1/completions", `{"model":"tiny","prompt":"hello","logprobs":0,"max_tokens":1}`)
	if want := `"token_logprobs":[-0.5],"top_logprobs":[{" the":-0.5}]`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %s\nwant %s", w.Body, want)
	}
}

func TestLowLogprob(t *testing.T) {
	f := newFake(t)
	var l logprobs
	l.add(f.tok, placed{token: &backendpb.Token{Id: the, Logprob: math.Inf(-1), HasLogprob: true}})
	if *l.TokenLogprobs[0] != lowestLogprob {
		t.Errorf("got %v", *l.TokenLogprobs[0])
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		if checkLogprobs(&backendpb.Token{Logprob: bad, HasLogprob: true}) == nil ||
			checkLogprobs(&backendpb.Token{Alternatives: []*backendpb.Alternative{{Logprob: bad}}}) == nil {
			t.Errorf("%v passes", bad)
		}
	}
}

func TestStreamChunks(t *testing.T) {
	f := newFake(t)
	f.script = append(ids(f, "hello world😀"), eos)
	_, texts := complete(t, newServer(t, f), `{"model":"tiny","prompt":"the","stream":true,"echo":true,"stop":["ld!"]}`)
	// What may begin the stop string and the emoji's bytes wait for the next token.
	if want := []string{"the", "hello", " wor", "ld😀", ""}; !slices.Equal(texts, want) {
		t.Errorf("chunks %q, want %q", texts, want)
	}
}
