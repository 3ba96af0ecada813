package server

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/host/tokenizer"
)

// chatObject is the answer of POST /v1/chat/completions, and one chunk of its stream.
type chatObject struct {
	ID          string           `json:"id"`
	Object      string           `json:"object"`
	Created     int64            `json:"created"`
	Model       string           `json:"model"`
	Fingerprint string           `json:"system_fingerprint"` // the generation the request is bound to
	Choices     []chatChoice     `json:"choices"`
	Usage       *completionUsage `json:"usage,omitzero"`
}

// chatChoice has a message in an answer, and a delta in a stream.
type chatChoice struct {
	Index        int           `json:"index"`
	Message      *chatAnswer   `json:"message,omitzero"`
	Delta        *chatDelta    `json:"delta,omitzero"`
	Logprobs     *chatLogprobs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

type chatAnswer struct {
	Role    string  `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"`
}

type chatDelta struct {
	Role    string  `json:"role,omitzero"`
	Content *string `json:"content,omitzero"`
}

// chatLogprobs has one entry for each token.
type chatLogprobs struct {
	Content []chatLogprob `json:"content"`
	Refusal *string       `json:"refusal"`
}

type chatLogprob struct {
	chatToken
	Top []chatToken `json:"top_logprobs"`
}

type chatToken struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"` // what the token stands for, which need not be whole code points
}

// chat answers POST /v1/chat/completions.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) error {
	begun := time.Now()
	var body chatRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	c, err := s.chatCompletion(r.Context(), &body)
	if err != nil {
		return err
	}
	return s.answer(w, r, c, begun, func(generation string) shape {
		kind := "chat.completion"
		if c.stream {
			kind += ".chunk"
		}
		return &chatShape{tok: s.engine.Tokenizer(), object: chatObject{ID: "chatcmpl-" + strings.ToLower(rand.Text()), Object: kind,
			Created: time.Now().Unix(), Model: c.name, Fingerprint: generation}}
	})
}

// chatShape writes texts as /v1/chat/completions does.
type chatShape struct {
	tok    *tokenizer.Tokenizer
	object chatObject
}

func (f *chatShape) with(usage *completionUsage, choices ...chatChoice) any {
	object := f.object
	object.Choices, object.Usage = choices, usage
	return object
}

func (f *chatShape) begin(r *run) any {
	return f.with(nil, chatChoice{Index: r.index, Delta: &chatDelta{Role: "assistant", Content: new(string)}})
}

func (f *chatShape) chunk(r *run, last bool) any {
	text, placed := r.text.take(last)
	if !last && text == "" && len(placed) == 0 {
		return nil
	}
	next := chatChoice{Index: r.index, Delta: &chatDelta{}, Logprobs: f.logprobs(r, placed)}
	if text != "" || !last {
		next.Delta.Content = &text
	}
	if last {
		next.FinishReason = &r.reason
	}
	return f.with(nil, next)
}

func (f *chatShape) total(runs []*run) any { return f.with(usage(runs), []chatChoice{}...) }

func (f *chatShape) whole(runs []*run) any {
	var choices []chatChoice
	for _, r := range runs {
		text, placed := r.text.take(true)
		choices = append(choices, chatChoice{Index: r.index, Message: &chatAnswer{Role: "assistant", Content: text}, Logprobs: f.logprobs(r, placed),
			FinishReason: &r.reason})
	}
	return f.with(usage(runs), choices...)
}

// logprobs are nil where none were asked for.
func (f *chatShape) logprobs(r *run, tokens []placed) *chatLogprobs {
	if !r.text.logprobs {
		return nil
	}
	out := &chatLogprobs{}
	for _, p := range tokens {
		one := chatLogprob{chatToken: f.token(p.token.GetId(), p.token.GetLogprob())}
		for _, alt := range p.token.GetAlternatives() {
			one.Top = append(one.Top, f.token(alt.GetId(), alt.GetLogprob()))
		}
		out.Content = append(out.Content, one)
	}
	return out
}

func (f *chatShape) token(id int32, logprob float64) chatToken {
	content, _ := f.tok.Token(id)
	t := chatToken{Token: name(f.tok, id), Logprob: number(logprob), Bytes: make([]int, len(content))}
	for i := range len(content) {
		t.Bytes[i] = int(content[i])
	}
	return t
}
