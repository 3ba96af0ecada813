package main

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/server/ui"
)

func init() { serveParts = append(serveParts, func() servePart { return &serveUI{} }) }

// serveUI is the dashboard of a server.
type serveUI struct{ off bool }

func (s *serveUI) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&s.off, "no-ui", false, "serve no dashboard at /ui")
}

func (s *serveUI) apply(_ context.Context, options *server.Options, _ *host.Serving) error {
	if s.off {
		return nil
	}
	o := ui.Options{Log: server.Logger(options.Log), Version: options.Version, Secure: options.Certificate != nil}
	if options.Keys != nil {
		o.SignIn = options.Keys.Authenticate
	}
	options.UI = func(front server.Front) server.Dashboard { return ui.New(front, o) }
	return nil
}

func (s *serveUI) reload() error { return nil }
