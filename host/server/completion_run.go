package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// run is one text as it comes from the backend.
type run struct {
	index      int
	events     Stream
	generation string
	wanted     wanted
	text       *assembly
	echo       bool
	prompt     []*backendpb.Token // with echo and log-probabilities
	cached     int                // tokens of the prompt that were not computed again
	generated  int                // tokens
	first      func()             // hears of each token; may be nil
	reason     string             // finish_reason
}

// maxStarts bounds how often texts are begun again because the alias came to mean another generation between them.
const maxStarts = 8

// start asks the engine for every text of a request and waits until they are bound to a generation: to one and the same.
func (s *Server) start(ctx context.Context, c *completion) (runs []*run, cancel context.CancelFunc, err error) {
	for range maxStarts {
		inner, cancel := context.WithCancel(ctx)
		runs := make([]*run, len(c.choices))
		err := each(len(runs), func(i int) (err error) {
			runs[i], err = s.startOne(inner, c, i)
			if err != nil {
				cancel()
			}
			return err
		})
		if err != nil {
			cancel()
			return nil, nil, err
		}
		if !slices.ContainsFunc(runs, func(r *run) bool { return r.generation != runs[0].generation }) {
			return runs, cancel, nil
		}
		cancel()
	}
	return nil, nil, backendNonsense("was given other generations of the model again and again while the texts of one request began")
}

func (s *Server) startOne(ctx context.Context, c *completion, i int) (*run, error) {
	w := c.choices[i]
	events, err := s.engine.Generate(ctx, w.request)
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
	cached := int(bound.GetCachedTokens())
	if cached < 0 || cached > len(w.request.GetPrompt()) {
		return nil, backendNonsense("found %d tokens of a prompt of %d", cached, len(w.request.GetPrompt()))
	}
	r := &run{index: i, events: events, generation: GenerationName(bound.GetGeneration()), wanted: w, echo: c.echo, cached: cached,
		text: newAssembly(s.engine.Tokenizer(), w.prompt.ids, c.stops, w.request.GetLogprobs() >= 0)}
	if c.echo && !w.request.GetPromptLogprobs() {
		r.text.echo(w.prompt, nil)
	}
	return r, nil
}

// each calls do for 0 to n-1 at once and returns the first error in time. A panic of one is an error of all.
func each(n int, do func(i int) error) error {
	if n == 1 {
		return do(0)
	}
	var wait sync.WaitGroup
	var once sync.Once
	var first error
	for i := range n {
		wait.Go(func() {
			defer func() {
				if cause := recover(); cause != nil {
					once.Do(func() { first = fmt.Errorf("panic: %v", cause) })
				}
			}()
			if err := do(i); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wait.Wait()
	return first
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
			if err := r.promptComplete(); err != nil {
				return err
			}
			if err := checkLogprobs(e.Token); err != nil {
				return err
			}
			r.generated++
			if r.first != nil {
				r.first()
			}
			if r.text.push(e.Token, slices.Contains(r.wanted.request.GetStop(), e.Token.GetId())); r.text.stopped {
				r.reason = "stop"
				return nil
			}
		case *backendpb.GenerateEvent_Finish:
			if err := r.promptComplete(); err != nil {
				return err
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
	want := r.wanted.request.GetPrompt()
	if r.promptComplete() == nil || token.GetId() != want[len(r.prompt)] {
		return backendNonsense("sent another prompt than it was given")
	}
	if err := checkLogprobs(token); err != nil {
		return err
	}
	if r.prompt = append(r.prompt, token); len(r.prompt) == len(want) {
		r.text.echo(r.wanted.prompt, r.prompt)
	}
	return nil
}

// promptComplete is an error where tokens of the prompt were asked for and are missing.
func (r *run) promptComplete() error {
	if want := len(r.wanted.request.GetPrompt()); r.wanted.request.GetPromptLogprobs() && len(r.prompt) < want {
		return backendNonsense("sent %d tokens of a prompt of %d", len(r.prompt), want)
	}
	return nil
}

// completionUsage counts the tokens of a request. A prompt of several texts counts once.
type completionUsage struct {
	PromptTokens     int           `json:"prompt_tokens"`
	CompletionTokens int           `json:"completion_tokens"`
	TotalTokens      int           `json:"total_tokens"`
	Details          promptDetails `json:"prompt_tokens_details"`
}

type promptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

func usage(runs []*run) *completionUsage {
	u := &completionUsage{}
	var last []int32
	for _, r := range runs {
		u.CompletionTokens += r.generated
		if ids := r.wanted.prompt.ids; last == nil || &ids[0] != &last[0] {
			u.PromptTokens += len(ids)
			u.Details.CachedTokens += r.cached
			last = ids
		}
	}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	return u
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
