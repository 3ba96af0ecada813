package server

import (
	"context"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Dashboard answers what is below /ui/. A request comes to it with its Principal in the context, its form read, and counted against the bounds
// of its key.
type Dashboard interface {
	http.Handler
	// Who is whose browser sent a request, as its cookie tells; false where nobody has signed in.
	Who(r *http.Request) (Principal, bool)
}

// Front is what a dashboard may ask of the server that it is a part of: what one principal sees, and texts within the server's bounds.
type Front struct{ server *Server }

// View is the engine as whoever asks in ctx sees it.
func (f Front) View(ctx context.Context) View { return f.server.view(ctx) }

// Status is the backend's.
func (f Front) Status() Status { return f.server.engine.Status() }

// Feed tells what happens, to everybody: View.Event says what of it somebody may see.
func (f Front) Feed() *Feed { return f.server.engine.Feed() }

// Still reports whether a request that was let in would be let in again: its key was not revoked, its visitor did not sign out.
func (f Front) Still(r *http.Request) bool {
	who, err := f.server.visitor(r)
	return err == nil && who.Name == PrincipalOf(r.Context()).Name
}

// Ask is a prompt that is continued greedily.
type Ask struct {
	Model      string // as whoever asks calls it; "" is the base
	Generation string // instead of Model: one in the backend's memory, as GenerationName writes it
	Prompt     string
	Tokens     int // at most
}

// Complete continues a prompt for whoever asks in r's context, within the bounds that hold for POST /v1/completions: those of the queue, of the
// request's time, and of what he sees. begin hears once of the generation, before text hears of each part. What is not there is
// fault.IONotFound; an error after begin means that the text broke off.
func (f Front) Complete(r *http.Request, ask Ask, begin func(generation string), text func(part string) error) error {
	s := f.server
	c, err := s.comparison(r.Context(), ask)
	if err != nil {
		return err
	}
	return s.generate(r, c, time.Now(), func(ctx context.Context, runs []*run, _ context.CancelFunc) error {
		begin(runs[0].generation)
		send := func() error {
			part, _ := runs[0].text.take(true)
			if part == "" {
				return nil
			}
			return text(part)
		}
		err := runs[0].to(send)
		if err == nil {
			err = send()
		}
		return late(ctx, err)
	})
}

// comparison checks a prompt of the dashboard's against what whoever asks sees, and against the limits.
func (s *Server) comparison(ctx context.Context, ask Ask) (*completion, error) {
	gone := fault.New(fault.IONotFound, "what you asked is not there any more").Fix("choose again")
	limits := s.engine.Limits()
	request := &backendpb.GenerateRequest{MaxTokens: int32(ask.Tokens), Stop: limits.EOS, Logprobs: -1}
	switch view := s.view(ctx); {
	case ask.Generation != "":
		digest, err := hex.DecodeString(strings.TrimPrefix(ask.Generation, "sha256:"))
		if err != nil || !slices.ContainsFunc(view.Generations(), func(g Resident) bool { return g.Generation == ask.Generation }) {
			return nil, gone
		}
		request.Generation = digest
	case ask.Model != "":
		model, ok := view.Find(ask.Model)
		if !ok || model.State == StateFailed {
			return nil, gone
		}
		if model.Parent != "" {
			request.Alias = model.ID
		}
	}
	if len(ask.Prompt) > maxBodyBytes {
		return nil, fault.New(fault.UsageFlag, "the prompt is longer than %d bytes", maxBodyBytes)
	}
	request.Prompt = s.engine.Tokenizer().Encode(ask.Prompt, true)
	if n := len(request.Prompt); n == 0 || ask.Tokens < 1 || n > limits.MaxPositions-ask.Tokens {
		return nil, fault.New(fault.UsageFlag, "the model's context is %d tokens: the prompt has %d, and %d more are asked for",
			limits.MaxPositions, n, ask.Tokens)
	}
	return &completion{choices: []wanted{{request, prompt{ids: request.Prompt, text: true}}}}, nil
}
