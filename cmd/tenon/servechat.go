package main

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/chat"
	"github.com/tenon-ml/tenon/host/server"
)

func init() { serveParts = append(serveParts, func() servePart { return &serveTexts{} }) }

// serveTexts is how completions and chats are answered: the chat template, and how many texts there may be for how long.
type serveTexts struct {
	template   string
	most, each int
	timeout    time.Duration
}

func (c *serveTexts) flags(flags *pflag.FlagSet) {
	flags.StringVar(&c.template, "chat-template", "", "Jinja `FILE` that makes prompts of chats (default: the base's own template)")
	flags.IntVar(&c.most, "max-requests", 0, "texts in flight at once, those that wait included, `N` (default 256); more get 429")
	flags.IntVar(&c.each, "max-model-requests", 0, "texts of one model in flight at once, those that wait included, `N` (default: as many as --max-requests)")
	flags.DurationVar(&c.timeout, "request-timeout", 0, "`TIME` that a completion may take, such as 90s (default: any)")
}

// apply reads the template. A base whose own template cannot be used is served without chats; a file that was named must be good.
func (c *serveTexts) apply(_ context.Context, options *server.Options, serving *host.Serving) error {
	template, err := chat.Open(serving.Limits().ModelDir, c.template)
	if err != nil && c.template != "" {
		return remedyMissing(err, "give the file of a Jinja template, or leave --chat-template out to use the base's own")
	}
	if err != nil {
		options.Log.Warn("chats are refused: the base's chat template cannot be used", "cause", err.Error())
	}
	options.ChatTemplate, options.MaxRequests, options.MaxPerModel, options.RequestTimeout = template, c.most, c.each, c.timeout
	return nil
}

func (c *serveTexts) guards() bool { return false }

func (c *serveTexts) reload() error { return nil }
