package ui

import (
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// choice is something that can be asked: the base, what an alias means, or one generation in memory.
type choice struct {
	Value string // "", an alias, or "generation sha256:…"
	Label string
}

// comparison is what the page with the two answers shows.
type comparison struct {
	Choices     []choice
	Left, Right string
	Prompt      string
}

const generationPrefix = "generation "

// choices are what a visitor may ask.
func (h *Handler) choices(who server.Principal) []choice {
	models := h.Engine.Models()
	out := []choice{{"", models[0].ID + " (the base)"}}
	live := map[string]bool{}
	for _, m := range models[1:] {
		if visible(who, m.ID) && m.State != server.StateFailed {
			out = append(out, choice{m.ID, m.ID + ", generation " + short(m.Generation)})
			live[m.Generation] = true
		}
	}
	for _, g := range h.Engine.Generations() {
		if live[g.Generation] || !slices.ContainsFunc(g.Aliases, func(alias string) bool { return visible(who, alias) }) && !everything(who) {
			continue
		}
		label := "generation " + short(g.Generation) + ", " + string(g.State)
		if len(g.Aliases) > 0 {
			label += " of " + strings.Join(g.Aliases, ", ")
		}
		out = append(out, choice{generationPrefix + g.Generation, label})
	}
	return out
}

func (h *Handler) compare(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	query := r.URL.Query()
	view := comparison{Choices: h.choices(who), Left: query.Get("left"), Right: query.Get("right"), Prompt: query.Get("prompt")}
	if view.Right == "" && len(view.Choices) > 1 {
		view.Right = view.Choices[1].Value
	}
	h.render(w, http.StatusOK, "compare", page{Title: "Compare two generations", Here: "compare", Who: h.visitor(who), Body: view})
	return nil
}

// maxTokens bounds one answer of the page.
const maxTokens = 256

// complete streams the answer of one choice as plain text. The generation it is of comes first, in a header.
func (h *Handler) complete(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	chosen, prompt := r.PostFormValue("choice"), r.PostFormValue("prompt")
	if !slices.ContainsFunc(h.choices(who), func(c choice) bool { return c.Value == chosen }) {
		return fault.New(fault.IONotFound, "what you asked is not there any more").Fix("choose again")
	}
	tokens, err := strconv.Atoi(r.PostFormValue("tokens"))
	if err != nil || tokens < 1 || tokens > maxTokens {
		return fault.New(fault.UsageFlag, "the number of tokens is not between 1 and %d", maxTokens)
	}
	text, limits := h.Engine.Tokenizer(), h.Engine.Limits()
	request := &backendpb.GenerateRequest{Prompt: text.Encode(prompt, true), MaxTokens: int32(tokens), Stop: limits.EOS, Logprobs: -1}
	if len(request.Prompt) == 0 || len(request.Prompt)+tokens > limits.MaxPositions {
		return fault.New(fault.UsageFlag, "the prompt has %d tokens, and with %d to come it must have at most %d", len(request.Prompt), tokens, limits.MaxPositions)
	}
	if digest, ok := strings.CutPrefix(chosen, generationPrefix); ok {
		if request.Generation, err = hex.DecodeString(strings.TrimPrefix(digest, "sha256:")); err != nil {
			return fault.New(fault.IONotFound, "%q names no generation", digest).Wrap(err)
		}
	} else {
		request.Alias = chosen
	}
	stream, err := h.Engine.Generate(r.Context(), request)
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Tenon-Generation", server.GenerationName(first.GetAdmitted().GetGeneration()))
	w.WriteHeader(http.StatusOK)
	if err := writeText(w, stream, text.NewDecoderAfter(request.Prompt, true)); err != nil {
		h.Log.WarnContext(r.Context(), "an answer broke off", "generation", w.Header().Get("X-Tenon-Generation"), "cause", err)
		panic(http.ErrAbortHandler) // the browser must not take half an answer for a whole one
	}
	return nil
}

// writeText sends tokens as text as they come.
func writeText(w http.ResponseWriter, stream server.Stream, decoder *tokenizer.Decoder) error {
	control := http.NewResponseController(w)
	send := func(part string) error {
		if part == "" {
			return nil
		}
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
		return control.Flush()
	}
	for {
		event, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) || event.GetFinish() != nil:
			return send(decoder.Flush())
		case err != nil:
			return err
		}
		if token := event.GetToken(); token != nil {
			if err := send(decoder.Push(token.Id)); err != nil {
				return err
			}
		}
	}
}
