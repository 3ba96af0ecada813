package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tenon-ml/tenon/host/report"
)

// tryPrompt completes one prompt with each model, over HTTP, as any client would.
func (c *command) tryPrompt(ctx context.Context, url, prompt string, models []string) error {
	fmt.Fprintf(c.stdout, "\nprompt  %s\n", report.Escape(prompt))
	width := 0
	for _, model := range models {
		width = max(width, len(model))
	}
	server, err := newClient(url)
	if err != nil {
		return err
	}
	for _, model := range models {
		text, err := server.complete(ctx, model, prompt)
		if err != nil {
			return err
		}
		writeWrapped(c.stdout, fmt.Sprintf("%-*s  ", width, model), strings.TrimSpace(text), 80)
	}
	return nil
}

// writeWrapped prints foreign text after a label, folded to width columns and continued under its own start.
func writeWrapped(w io.Writer, label, text string, width int) {
	text = strings.Join(strings.Fields(report.Escape(text)), " ")
	fmt.Fprintln(w, strings.Join(report.Wrap(report.Escape(label), text, width), "\n"))
}
