package server

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"
)

// completionObject is the answer of POST /v1/completions, and one chunk of its stream.
type completionObject struct {
	ID          string           `json:"id"`
	Object      string           `json:"object"`
	Created     int64            `json:"created"`
	Model       string           `json:"model"`
	Fingerprint string           `json:"system_fingerprint"` // the generation the request is bound to
	Choices     []choice         `json:"choices"`
	Usage       *completionUsage `json:"usage,omitzero"`
}

type choice struct {
	Index        int       `json:"index"`
	Text         string    `json:"text"`
	Logprobs     *logprobs `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// shape writes the texts of a request as one of the two routes does.
type shape interface {
	// begin is the first chunk of a text's stream, nil where there is none.
	begin(r *run) any
	// chunk is what a text's stream tells next, nil for nothing. The last one has the finish reason.
	chunk(r *run, last bool) any
	// total is the chunk with the usage of all texts.
	total(runs []*run) any
	// whole is the answer without a stream.
	whole(runs []*run) any
}

// completions answers POST /v1/completions.
func (s *Server) completions(w http.ResponseWriter, r *http.Request) error {
	begun := time.Now()
	var body completionRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	c, err := s.completion(r.Context(), &body)
	if err != nil {
		return err
	}
	return s.answer(w, r, c, begun, func(generation string) shape {
		return &completionShape{completionObject{ID: "cmpl-" + strings.ToLower(rand.Text()), Object: "text_completion",
			Created: time.Now().Unix(), Model: c.name, Fingerprint: generation}}
	})
}

// answer has the texts of a request made that came at that time, and writes them.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *completion, begun time.Time, form func(generation string) shape) error {
	return s.generate(r, c, begun, func(ctx context.Context, runs []*run, stop context.CancelFunc) error {
		w.Header().Set("X-Tenon-Generation", runs[0].generation)
		texts := form(runs[0].generation)
		if c.stream {
			s.stream(ctx, w, c, runs, texts, stop)
			return nil
		}
		if err := runAll(runs, stop, func(*run) error { return nil }); err != nil {
			w.Header().Del("X-Tenon-Generation")
			return late(ctx, err)
		}
		writeJSON(w, http.StatusOK, texts.whole(runs))
		return nil
	})
}

// generate begins the texts of a request that came at that time, as soon and as long as there is room and time for them. write receives them,
// and may stop them. Every text that the server makes goes through here.
func (s *Server) generate(r *http.Request, c *completion, begun time.Time, write func(context.Context, []*run, context.CancelFunc) error) error {
	request := c.choices[0].request
	alias := request.GetAlias()
	model := alias
	if len(request.GetGeneration()) > 0 {
		model = GenerationName(request.GetGeneration())
	}
	leave, err := s.queue.enter(model, len(c.choices))
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel, err := s.deadline(r)
	if err != nil {
		return err
	}
	defer cancel() // ends the backend's work when the client goes, or the time is over
	admitted, out := s.traffic.enter(alias, len(c.choices))
	defer out()
	runs, stop, err := s.start(ctx, c)
	if err != nil {
		return late(ctx, err)
	}
	defer stop()
	admitted()
	first := sync.OnceFunc(func() { s.metrics.first.Observe(time.Since(begun).Seconds()) })
	for _, run := range runs {
		run.first = first
	}
	s.metrics.tokens.WithLabelValues("prompt").Add(float64(usage(runs).PromptTokens))
	defer func() { s.metrics.tokens.WithLabelValues("generated").Add(float64(usage(runs).CompletionTokens)) }()
	return write(ctx, runs, stop)
}

// runAll receives every text to its end. The first error ends the others.
func runAll(runs []*run, stop context.CancelFunc, progress func(*run) error) error {
	return each(len(runs), func(i int) error {
		err := runs[i].to(func() error { return progress(runs[i]) })
		if err != nil {
			stop()
		}
		return err
	})
}

// completionShape writes texts as /v1/completions does.
type completionShape struct{ object completionObject }

func (f *completionShape) with(usage *completionUsage, choices ...choice) any {
	object := f.object
	object.Choices, object.Usage = choices, usage
	return object
}

func (f *completionShape) begin(*run) any { return nil }

func (f *completionShape) chunk(r *run, last bool) any {
	text, placed := r.text.take(last)
	if !last && text == "" && len(placed) == 0 {
		return nil
	}
	next := choice{Index: r.index, Text: text, Logprobs: r.text.legacy(placed)}
	if last {
		next.FinishReason = &r.reason
	}
	return f.with(nil, next)
}

func (f *completionShape) total(runs []*run) any { return f.with(usage(runs), []choice{}...) }

func (f *completionShape) whole(runs []*run) any {
	var choices []choice
	for _, r := range runs {
		text, placed := r.text.take(true)
		choices = append(choices, choice{Index: r.index, Text: text, Logprobs: r.text.legacy(placed), FinishReason: &r.reason})
	}
	return f.with(usage(runs), choices...)
}
