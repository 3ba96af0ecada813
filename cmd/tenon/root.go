package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/server"
)

// command is what every subcommand shares: where results and everything else go, and the flags all of them know.
type command struct {
	stdout, stderr io.Writer
	policy         string
	probe          string // of the commands that merge
	bank           string
	revoked        string
	twice          bool // of the commands that merge
	cacheDir       string
	hosts          []*host.Host // to be closed
	spares         int          // workers that wait for the next run of a diagnostic
	serves         bool         // it runs for as long as nobody ends it
	quiet          bool
	verbose        bool
}

// run is the program: arguments in, exit code out.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the first signal asks, a second one is not caught
	c := &command{stdout: stdout, stderr: stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	for _, h := range c.hosts {
		err = cmp.Or(err, h.Close())
	}
	return exitCode(ctx, err, stderr)
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:                        "tenon",
		Short:                      "Check LoRA adapters, merge them exactly, serve them without downtime",
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		Args:                       knownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return settle(cmd.Flags(), os.LookupEnv, configFile)
		},
	}
	flags := root.PersistentFlags()
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "print the result and errors, nothing else")
	flags.BoolVarP(&c.verbose, "verbose", "v", false, "log what happens")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "Flags.FlagUsages", "Flags.FlagUsagesWrapped 80"))
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(c.check(), c.merge(), c.verify(), c.serve(), c.load(), c.activate(), c.rollback(), c.unload(), c.ps(), c.status(), c.history(), c.events(), c.keyCommand(), c.inspect(), c.eval(), c.compare(), c.sweep(), c.compress(), c.convert(), c.pack(), c.bankCommand(), c.policyCommand(), c.auditCommand(), c.registryCommand(),
		c.moduleCommand(), c.backendCommand(), c.bench(), c.version())
	for _, name := range []string{"check", "merge", "serve", "eval", "compare", "sweep", "bank", "module"} {
		for _, cmd := range root.Commands() {
			if cmd.Name() == name {
				c.judgeFlags(cmd)
			}
		}
	}
	return root
}

// judgeFlags adds the flags of the commands that run diagnostics here. Commands that ask a server do not have them: its policy decides.
func (c *command) judgeFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	if cmd.HasSubCommands() {
		flags = cmd.PersistentFlags()
	}
	if cmd.Name() != "compare" && cmd.Name() != "sweep" { // these have policies of their own
		flags.StringVar(&c.policy, "policy", gate.DefaultName, "policy that decides: a `FILE`, or built in: "+strings.Join(gate.BuiltinNames(), ", "))
	}
	flags.StringVar(&c.cacheDir, "cache-dir", "", "`DIR` for what can be computed again (default: tenon in the user's cache folder)")
	flags.StringVar(&c.revoked, "revoked", "", "`FILE` of digests of diagnostics that must not run, beside the policy's own")
}

// flagError refuses a flag that a command does not have.
func flagError(cmd *cobra.Command, err error) error {
	e := fault.New(fault.UsageFlag, "%v", err).Fix("see %s --help", cmd.CommandPath())
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		_, asks := cmd.Annotations[remoteCommand]
		switch name := unknown.GetSpecifiedName(); {
		case asks && (name == "policy" || name == "revoked"):
			return fault.New(fault.UsageFlag, "%s takes no --%s: the server's policy decides", cmd.CommandPath(), name).Fix("give it to tenon serve")
		case name == "policy" || name == "revoked" || name == "cache-dir":
			return fault.New(fault.UsageFlag, "%s takes no --%s: it runs no diagnostics here", cmd.CommandPath(), name).Fix("leave it out")
		}
	}
	return e
}

// evidenceFlags adds the flags of the commands that merge, or could: what an adapter is judged by besides its weights.
func (c *command) evidenceFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.probe, "probe", "", "`FILE` of texts and prompts to ask the merged model before the policy decides")
	flags.StringVar(&c.bank, "bank", "", "`DIR` of adapters you trust, to hold this one against; see tenon bank")
	flags.BoolVar(&c.twice, "twice", false, "run every diagnostic twice and refuse what does not give the same both times")
}

// host makes the library from the shared flags.
func (c *command) host() (*host.Host, error) {
	options := host.Options{CacheDir: c.cacheDir, BankDir: c.bank, Revoked: c.revoked, Twice: c.twice, Log: server.Logger(c.log()), Progress: c.newProgress(), Spares: c.spares}
	if c.probe != "" {
		file, err := probe.Load(c.probe)
		if err != nil {
			return nil, err
		}
		options.Probe = file
	}
	if policy, ok := gate.Builtin(c.policy); ok {
		options.Policy = policy
		return c.newHost(options)
	}
	policy, err := gate.LoadPolicy(c.policy)
	if err != nil {
		return nil, err
	}
	options.Policy = policy
	return c.newHost(options)
}

// newHost makes the library, which is closed when the command has ended.
func (c *command) newHost(options host.Options) (*host.Host, error) {
	h, err := host.New(options)
	if err == nil {
		c.hosts = append(c.hosts, h)
	}
	return h, err
}

func (c *command) log() *slog.Logger {
	level := slog.LevelWarn
	if c.serves {
		level = slog.LevelInfo // who operates it wants to see what changes
	}
	if c.verbose {
		level = slog.LevelDebug
	}
	if c.quiet {
		level = slog.LevelError
	}
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: level}))
}

// arguments wraps cobra's validators so that a wrong count is a usage error with a stable code.
func arguments(validate cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := validate(cmd, args); err != nil {
			return fault.New(fault.UsageFlag, "%v", err).Fix("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// knownCommand refuses a word that is no command, and offers the one that was meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := fault.New(fault.UsageFlag, "%q is not a command", args[0]).Fix("see tenon --help")
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		e = e.Fix("did you mean: tenon %s", near[0])
	}
	return e
}

func (c *command) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(c.stdout, "tenon %s\n", version)
			return err
		},
	}
}
