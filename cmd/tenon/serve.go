package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/watch"
)

// defaultListen is where serve listens and the client commands look.
const defaultListen = "127.0.0.1:8321"

func (c *command) serve() *cobra.Command {
	o := serveOptions{parts: makeServeParts()}
	cmd := &cobra.Command{
		Use:   "serve --base MODEL [--adapter NAME=REF]...",
		Short: "Serve a base and gated adapters over vLLM's HTTP routes",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.acts = cmd.Flags().Changed("watch-action")
			if err := o.check(); err != nil {
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
	flags.StringVar(&o.listen, "listen", defaultListen, "`HOST:PORT` to listen on; without --keys on a loopback address only")
	o.backend.flags(flags)
	o.state.flags(flags)
	o.security.flags(flags)
	flags.StringVar(&o.watch, "watch", "", "take in what is put into `DIR`, each directory under its own name")
	flags.StringVar(&o.watchAction, "watch-action", string(watch.Activate), "`ACTION` with what the gate lets through there: activate, stage or check")
	flags.StringVar(&o.try, "try", "", "complete `PROMPT` with the base and with each adapter, and print both")
	flags.BoolVar(&o.once, "once", false, "with --try: exit afterwards instead of serving, and keep nothing")
	for _, part := range o.parts {
		part.flags(flags)
	}
	return cmd
}

type serveOptions struct {
	base, name, listen, try string
	watch, watchAction      string
	acts                    bool // watchAction was given
	adapters                []string
	named                   []namedAdapter // adapters, read
	backend                 backendChoice
	state                   serveState
	security                serveSecurity
	once                    bool
	parts                   []servePart
}

// servePart is a part of the server with flags of its own.
type servePart interface {
	flags(flags *pflag.FlagSet)
	// apply adds the part to the front that is about to be made.
	apply(ctx context.Context, options *server.Options, serving *host.Serving) error
	// reload reads anew, on SIGHUP, what the part was given. With an error it goes on with what it had.
	reload() error
}

// serveParts make the parts that other files of this package add.
var serveParts []func() servePart

func makeServeParts() []servePart {
	var parts []servePart
	for _, add := range serveParts {
		parts = append(parts, add())
	}
	return parts
}

// check refuses what is wrong on the command line, all of it, before anything starts.
func (o *serveOptions) check() (err error) {
	var faults []error
	add := func(err error) { faults = append(faults, err) }
	add(need("base", o.base))
	add(o.security.check(o.listen, o.try))
	if o.once && o.try == "" {
		add(fault.New(fault.UsageFlag, "--once without --try has nothing to do"))
	}
	if o.once {
		if o.state.data != "" {
			add(fault.New(fault.UsageFlag, "--once keeps nothing, so there is nothing for --data to hold").Fix("leave one of them out"))
		}
		o.state.data, o.state.ephemeral = "", true
	}
	add(o.state.check())
	add(o.checkWatch())
	o.named, err = namedAdapters(o.adapters)
	add(err)
	if o.name == "" && o.base != "" {
		o.name, err = baseName(o.base)
		add(err)
	}
	for _, adapter := range o.named {
		add(server.CheckAlias(adapter.name, o.name))
	}
	return errors.Join(faults...)
}

// checkWatch refuses a folder that cannot be watched.
func (o *serveOptions) checkWatch() error {
	if o.watch == "" {
		if o.acts {
			return fault.New(fault.UsageFlag, "--watch-action is about a folder, and there is no --watch").Fix("give --watch DIR, or leave --watch-action out")
		}
		return nil
	}
	err := watch.CheckAction(watch.Action(o.watchAction))
	switch info, statErr := os.Stat(o.watch); {
	case errors.Is(statErr, fs.ErrNotExist):
		err = errors.Join(err, fault.New(fault.IONotFound, "there is no such folder to watch").In(o.watch).Fix("make it, or give another one to --watch"))
	case statErr != nil:
		err = errors.Join(err, fault.New(fault.IORead, "the folder cannot be watched").In(o.watch).Wrap(statErr).Fix("give another one to --watch"))
	case !info.IsDir():
		err = errors.Join(err, fault.New(fault.IOFileType, "--watch takes a folder, and this is none").In(o.watch).Fix("give the folder that adapters are put into"))
	}
	return err
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
