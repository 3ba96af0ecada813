package ui

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
)

// choice is something that can be asked: the base, what an alias means, or one generation in memory.
type choice struct {
	Value string // "", an alias as the visitor calls it, or "generation sha256:…"
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
func (h *Handler) choices(ctx context.Context) []choice {
	view := h.front.View(ctx)
	var out []choice
	live := map[string]bool{}
	for _, m := range view.Models() {
		switch {
		case m.Parent == "":
			out = append(out, choice{"", m.Name + " (the base)"})
		case m.State != server.StateFailed && m.State != server.StateReturning:
			out = append(out, choice{m.Name, m.Name + ", generation " + short(m.Generation)})
			live[m.Generation] = true
		}
	}
	for _, g := range view.Generations() {
		if live[g.Generation] {
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
	view := comparison{Choices: h.choices(r.Context()), Left: query.Get("left"), Right: query.Get("right"), Prompt: query.Get("prompt")}
	if view.Right == "" && len(view.Choices) > 1 {
		view.Right = view.Choices[1].Value
	}
	h.render(w, http.StatusOK, "compare", page{Title: "Compare two generations", Here: "compare", Who: h.visitor(who), Body: view})
	return nil
}

// maxTokens bounds one answer of the page.
const maxTokens = 256

// complete streams the answer of one choice as plain text. The generation it is of comes first, in a header.
func (h *Handler) complete(w http.ResponseWriter, r *http.Request, _ server.Principal) error {
	tokens, err := strconv.Atoi(r.PostFormValue("tokens"))
	if err != nil || tokens < 1 || tokens > maxTokens {
		return fault.New(fault.UsageFlag, "the number of tokens is not between 1 and %d", maxTokens)
	}
	ask := server.Ask{Model: r.PostFormValue("choice"), Prompt: r.PostFormValue("prompt"), Tokens: tokens}
	if generation, ok := strings.CutPrefix(ask.Model, generationPrefix); ok {
		ask.Model, ask.Generation = "", generation
	}
	begun, control := "", http.NewResponseController(w)
	err = h.front.Complete(r, ask, func(generation string) {
		begun = generation
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Tenon-Generation", generation)
		w.WriteHeader(http.StatusOK)
	}, func(part string) error {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
		return control.Flush()
	})
	if err == nil || begun == "" {
		return err
	}
	if r.Context().Err() == nil {
		h.Log.WarnContext(r.Context(), "an answer broke off", "generation", begun, "cause", err)
	}
	panic(http.ErrAbortHandler) // the browser must not take half an answer for a whole one
}
