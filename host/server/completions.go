package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
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

type completionUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
}

// completions answers POST /v1/completions.
func (s *Server) completions(w http.ResponseWriter, r *http.Request) error {
	var body completionRequest
	if err := readBody(w, r, &body); err != nil {
		return err
	}
	c, err := s.completion(&body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel() // ends the backend's work when the client goes, or a stop string came
	admitted, leave := s.traffic.enter(c.request.GetAlias())
	defer leave()
	run, err := s.start(ctx, c)
	if err != nil {
		return err
	}
	admitted()
	s.metrics.tokens.WithLabelValues("prompt").Add(float64(len(c.request.GetPrompt())))
	defer func() { s.metrics.tokens.WithLabelValues("generated").Add(float64(run.generated)) }()
	object := completionObject{ID: "cmpl-" + strings.ToLower(rand.Text()), Object: "text_completion", Created: time.Now().Unix(),
		Model: c.model.ID, Fingerprint: run.generation}
	w.Header().Set("X-Tenon-Generation", run.generation)
	if c.stream {
		s.stream(w, c, run, object)
		return nil
	}
	if err := run.to(func() error { return nil }); err != nil {
		w.Header().Del("X-Tenon-Generation")
		return err
	}
	text, logs := run.text.take(true)
	object.Choices = []choice{{Text: text, Logprobs: logs, FinishReason: &run.reason}}
	object.Usage = run.usage(c)
	writeJSON(w, http.StatusOK, object)
	return nil
}

// run is one generation as it comes from the backend.
type run struct {
	events     Stream
	generation string
	completion *completion
	text       *assembly
	prompt     []*backendpb.Token // with echo and log-probabilities
	generated  int                // tokens
	reason     string             // finish_reason
}

// start asks the engine and waits until the request is bound to a generation.
func (s *Server) start(ctx context.Context, c *completion) (*run, error) {
	events, err := s.engine.Generate(ctx, c.request)
	if err != nil {
		return nil, err
	}
	first, err := events.Recv()
	if err != nil {
		return nil, recvError(err)
	}
	bound := first.GetAdmitted()
	if bound == nil {
		return nil, backendNonsense("answered before it admitted the request")
	}
	r := &run{events: events, generation: GenerationName(bound.GetGeneration()), completion: c,
		text: newAssembly(s.engine.Tokenizer(), c.stops, c.request.GetLogprobs() >= 0)}
	if c.echo && !c.request.GetPromptLogprobs() {
		r.text.echo(c.request.GetPrompt(), c.template, nil)
	}
	return r, nil
}

// to receives to the end, and calls progress whenever there may be new text. Its error is progress's, or the backend's.
func (r *run) to(progress func() error) error {
	for {
		if err := progress(); err != nil {
			return err
		}
		event, err := r.events.Recv()
		if err != nil {
			return recvError(err)
		}
		switch e := event.GetEvent().(type) {
		case *backendpb.GenerateEvent_Prompt:
			if err := r.promptToken(e.Prompt); err != nil {
				return err
			}
		case *backendpb.GenerateEvent_Token:
			if r.promptMissing() {
				return backendNonsense("sent %d tokens of a prompt of %d", len(r.prompt), len(r.completion.request.GetPrompt()))
			}
			if err := checkLogprobs(e.Token); err != nil {
				return err
			}
			r.generated++
			if r.text.push(e.Token); r.text.stopped {
				r.reason = "stop"
				return nil
			}
		case *backendpb.GenerateEvent_Finish:
			if r.promptMissing() {
				return backendNonsense("sent %d tokens of a prompt of %d", len(r.prompt), len(r.completion.request.GetPrompt()))
			}
			if r.text.finish(); r.text.stopped || e.Finish.GetReason() == backendpb.Finish_STOP {
				r.reason = "stop"
				return nil
			}
			if e.Finish.GetReason() != backendpb.Finish_LENGTH {
				return backendNonsense("ended the text for no known reason")
			}
			r.reason = "length"
			return nil
		default:
			return backendNonsense("sent an event that is not known here")
		}
	}
}

// promptToken collects the prompt's tokens; the last one makes the echo.
func (r *run) promptToken(token *backendpb.Token) error {
	want := r.completion.request.GetPrompt()
	if !r.promptMissing() || token.GetId() != want[len(r.prompt)] {
		return backendNonsense("sent another prompt than it was given")
	}
	if err := checkLogprobs(token); err != nil {
		return err
	}
	if r.prompt = append(r.prompt, token); !r.promptMissing() {
		r.text.echo(want, r.completion.template, r.prompt)
	}
	return nil
}

func (r *run) promptMissing() bool {
	return r.completion.request.GetPromptLogprobs() && len(r.prompt) < len(r.completion.request.GetPrompt())
}

func (r *run) usage(c *completion) *completionUsage {
	prompt := len(c.request.GetPrompt())
	return &completionUsage{PromptTokens: prompt, CompletionTokens: r.generated, TotalTokens: prompt + r.generated}
}

// checkLogprobs refuses NaN and infinity: they mean that the model is broken, which no number may hide.
func checkLogprobs(token *backendpb.Token) error {
	broken := func(logprob float64) bool { return math.IsNaN(logprob) || math.IsInf(logprob, 1) }
	bad := token.GetHasLogprob() && broken(token.GetLogprob())
	for _, a := range token.GetAlternatives() {
		bad = bad || broken(a.GetLogprob())
	}
	if bad {
		return backendNonsense("sent a log-probability of token %d that is not a number", token.GetId())
	}
	return nil
}

// recvError makes the end of a stream that did not finish an error of the backend.
func recvError(err error) error {
	if errors.Is(err, io.EOF) {
		return backendNonsense("ended the stream before the text")
	}
	return err
}
