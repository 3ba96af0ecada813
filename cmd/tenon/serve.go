package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// defaultListen is where serve listens and the client commands look.
const defaultListen = "127.0.0.1:8321"

// drainTime is how long requests in flight may take after SIGTERM.
const drainTime = 30 * time.Second

func (c *command) serve() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve --base MODEL [--adapter NAME=REF]...",
		Short: "Serve a base and gated adapters over vLLM's HTTP routes",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(need("base", o.base), loopbackOnly(o.listen), onceNeedsTry(o)); err != nil {
				return err
			}
			return c.runServer(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.base, "base", "", "base checkpoint: a `DIR` in Hugging Face layout")
	flags.StringVar(&o.name, "name", "", "what clients call the base, `NAME` (default: the directory's name)")
	flags.StringArrayVar(&o.adapters, "adapter", nil, "adapter to gate and load at start, as `NAME=REF`; repeat for several")
	c.evidenceFlags(flags)
	flags.StringVar(&o.listen, "listen", defaultListen, "`HOST:PORT` to listen on; loopback only, since there is no authentication")
	o.backend.flags(flags)
	flags.StringVar(&o.try, "try", "", "complete `PROMPT` with the base and with each adapter, and print both")
	flags.BoolVar(&o.once, "once", false, "with --try: exit afterwards instead of serving")
	return cmd
}

type serveOptions struct {
	base, name, listen, try string
	adapters                []string
	backend                 backendChoice
	once                    bool
}

// loopbackOnly refuses to offer a server without authentication to a network.
func loopbackOnly(listen string) error {
	name, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fault.New(fault.UsageFlag, "--listen %q is not HOST:PORT", listen).Wrap(err)
	}
	if ip := net.ParseIP(name); name == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fault.New(fault.UsageFlag, "--listen %q is not a loopback address, and the server has no authentication", listen).
		Fix("listen on 127.0.0.1 and put a proxy that authenticates in front")
}

func onceNeedsTry(o serveOptions) error {
	if o.once && o.try == "" {
		return fault.New(fault.UsageFlag, "--once without --try has nothing to do")
	}
	return nil
}

func (c *command) runServer(ctx context.Context, o serveOptions) (err error) {
	c.spares = 4 // it answers loads for as long as it lives
	h, err := c.host()
	if err == nil {
		h, err = o.backend.use(h)
	}
	if err != nil {
		return err
	}
	adapters, err := namedAdapters(o.adapters)
	if err != nil {
		return err
	}
	if o.name == "" {
		if o.name, err = baseName(o.base); err != nil {
			return err
		}
	}
	serving, err := h.Serve(ctx, o.base, o.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, serving.Stop(context.WithoutCancel(ctx))) }()
	var names []string
	for _, adapter := range adapters {
		name := adapter.name
		r, err := serving.Load(ctx, name, adapter.ref)
		if err != nil {
			return err
		}
		if err := c.print(r, "text"); err != nil {
			return err
		}
		if !r.Verdict.Open() {
			return verdictExit(r, "deny")
		}
		names = append(names, name)
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fault.New(fault.IOWrite, "cannot listen on %s", o.listen).Wrap(err).Fix("is another tenon running? choose another --listen")
	}
	front := server.New(serving, server.Options{Log: c.log(), BaseName: o.name, Addr: listener.Addr().String(), Version: version})
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	defer func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if stopErr := front.Shutdown(drain); !errors.Is(stopErr, context.DeadlineExceeded) {
			err = errors.Join(err, stopErr)
		}
	}()
	if o.try != "" {
		if err := c.tryPrompt(ctx, "http://"+listener.Addr().String(), o.try, append([]string{o.name}, names...)); err != nil {
			return err
		}
	}
	if o.once {
		return nil
	}
	if !c.quiet {
		fmt.Fprintf(c.stderr, "\nserving %s on http://%s, Ctrl-C ends it\n", report.Escape(strings.Join(append([]string{o.name}, names...), ", ")), listener.Addr())
	}
	select {
	case err := <-served:
		if !errors.Is(err, http.ErrServerClosed) {
			return fault.New(fault.ServerDown, "the server stopped").Wrap(err)
		}
	case <-ctx.Done():
		if !c.quiet {
			fmt.Fprintln(c.stderr, "draining")
		}
	}
	return nil
}

// namedAdapter is one --adapter.
type namedAdapter struct{ name, ref string }

func namedAdapters(values []string) ([]namedAdapter, error) {
	var adapters []namedAdapter
	for _, value := range values {
		name, ref, ok := strings.Cut(value, "=")
		if !ok || name == "" || ref == "" {
			return nil, fault.New(fault.UsageFlag, "--adapter %q is not NAME=REF", value).Fix("for instance --adapter restaurant=examples/restaurant/adapter")
		}
		if slices.ContainsFunc(adapters, func(a namedAdapter) bool { return a.name == name }) {
			return nil, fault.New(fault.UsageFlag, "--adapter gives %q twice", name).Fix("give each adapter a name of its own")
		}
		adapters = append(adapters, namedAdapter{name, ref})
	}
	return adapters, nil
}

// baseName is what a base is called when nobody said: the name of its directory.
func baseName(ref string) (string, error) {
	dir, err := filepath.Abs(strings.TrimPrefix(ref, "file://"))
	if err != nil {
		return "", fault.New(fault.UsageFlag, "the base has no name").In(ref).Wrap(err).Fix("give one with --name")
	}
	return filepath.Base(dir), nil
}

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
