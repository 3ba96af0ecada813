package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/telemetry"
	"github.com/tenon-ml/tenon/host/watch"
)

// drainTime is how long requests in flight may take after SIGTERM.
const drainTime = 30 * time.Second

// tellTime is how long a collector of traces may take for the last ones.
const tellTime = 3 * time.Second

// runServer serves until the first signal, and then ends what is in flight; a second signal is not caught.
func (c *command) runServer(ctx context.Context, o serveOptions) (err error) {
	c.spares = 4 // it answers loads for as long as it lives
	c.serves = !o.once
	tally := server.NewTally()
	stopTelling, err := telemetry.Start(ctx, telemetry.Options{Service: "tenon", Version: version, Log: c.log(), OnStep: tally.Step})
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime)
		defer cancel()
		if err := stopTelling(last); err != nil {
			c.log().Warn("the last traces were not delivered", "cause", err)
		}
	}()
	h, err := c.host()
	if err == nil {
		h, err = o.backend.use(h)
	}
	if err != nil {
		return err
	}
	data, state, err := o.state.place()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fault.New(fault.IOWrite, "cannot listen on %s", o.listen).Wrap(err).Fix("is another tenon running? choose another --listen")
	}
	defer listener.Close() // a front that serves has closed it
	serving, err := h.ServeWith(ctx, host.ServeOptions{
		Base: o.base, Name: o.name, Data: data, State: state, Mode: server.Mode(o.state.mode), Memory: o.state.bytes,
		OnLoad: tally.Load,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, serving.Stop(context.WithoutCancel(ctx))) }()
	options := server.Options{Log: c.log(), BaseName: o.name, Addr: listener.Addr().String(), Version: version, Tally: tally}
	if err := o.security.apply(&options, c.log()); err != nil {
		return err
	}
	for _, part := range o.parts {
		if err := part.apply(ctx, &options, serving); err != nil {
			return err
		}
	}
	ready := serving.Hold()
	front := server.New(serving, options)
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	defer func() {
		serving.Drain()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if stopErr := front.Shutdown(drain); !errors.Is(stopErr, context.DeadlineExceeded) {
			err = errors.Join(err, stopErr)
		}
	}()
	names, err := c.loadFirst(ctx, serving, o.named)
	if err != nil {
		return err
	}
	ready()
	if o.try != "" {
		if err := c.tryPrompt(ctx, o.security.scheme()+listener.Addr().String(), o.try, append([]string{o.name}, names...)); err != nil {
			return err
		}
	}
	if o.once {
		return nil
	}
	if !c.quiet {
		fmt.Fprintf(c.stderr, "\nserving %s on %s%s, Ctrl-C ends it\n", report.Escape(strings.Join(liveNames(serving), ", ")), o.security.scheme(), listener.Addr())
	}
	return c.serveOn(ctx, served, o, &reloading{host: h, serving: serving, keys: options.Keys, parts: o.parts})
}

// serveOn waits for the end, and does meanwhile what the folder and SIGHUP ask for.
func (c *command) serveOn(ctx context.Context, served <-chan error, o serveOptions, again *reloading) error {
	watched := make(chan error, 1)
	if o.watch != "" {
		looking, stop := context.WithCancel(ctx)
		var folder sync.WaitGroup
		defer folder.Wait()
		defer stop()
		folder.Go(func() {
			watched <- watch.Watch(looking, o.watch, again.serving, watch.Options{Action: watch.Action(o.watchAction), Base: o.name, Log: server.Logger(c.log())})
		})
	}
	hangups, stop := hangups()
	defer stop()
	for {
		select {
		case err := <-served:
			if !errors.Is(err, http.ErrServerClosed) {
				return fault.New(fault.ServerDown, "the server stopped").Wrap(err)
			}
			return nil
		case err := <-watched:
			if err != nil {
				return err
			}
		case <-hangups:
			c.reload(again)
		case <-ctx.Done():
			if !c.quiet {
				fmt.Fprintln(c.stderr, "draining")
			}
			return nil
		}
	}
}

// loadFirst waits for what was live before, offers the adapters of the command line, and returns the names of these that are live.
func (c *command) loadFirst(ctx context.Context, serving *host.Serving, adapters []namedAdapter) (names []string, err error) {
	if err := serving.Opened(ctx); err != nil {
		return nil, err
	}
	for _, adapter := range adapters {
		loaded, err := serving.Offer(ctx, server.Load{Alias: adapter.name, Ref: adapter.ref})
		if err != nil {
			return nil, err
		}
		if err := c.print(loaded.Report, "text"); err != nil {
			return nil, err
		}
		switch {
		case !loaded.Report.Verdict.Open():
			return nil, verdictExit(loaded.Report, "deny")
		case loaded.Model.Digest != loaded.Report.Adapter.Digest:
			fmt.Fprintf(c.stderr, "tenon: %s was taken back from this adapter, and is not made to mean it again by itself: tenon load %[1]s REF does\n", adapter.name)
			if loaded.Model.ID == "" {
				continue
			}
		}
		names = append(names, adapter.name)
	}
	return names, nil
}

// liveNames is what can be asked for.
func liveNames(serving *host.Serving) (names []string) {
	for _, m := range serving.Models() {
		if m.State == server.StateLive {
			names = append(names, m.ID)
		}
	}
	return names
}
