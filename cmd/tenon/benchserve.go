package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/loadtest"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) bench() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure", Args: arguments(cobra.NoArgs), RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.benchServe())
	return cmd
}

// defaultBenchPrompt is sent where nobody gives another.
const defaultBenchPrompt = "In the beginning"

// maxPrompts bounds a file of prompts.
const maxPrompts = 64 << 20

// benchOptions are the flags of bench serve.
type benchOptions struct {
	plan        loadtest.Plan
	prompt      string
	promptsFile string
	swap        string
	swapEvery   time.Duration
	format      string
}

// benchAnswer is what bench serve prints.
type benchAnswer struct {
	*loadtest.Result
	Swaps *loadtest.Swapped `json:"swaps,omitzero"`
}

func (c *command) benchServe() *cobra.Command {
	var o benchOptions
	cmd := remote(&cobra.Command{
		Use: "serve --model NAME [--clients N | --rate N]", Short: "Put completions on a running server and say how it bore them",
		Long: `Put streamed, greedy completions on a running server and say how long the first
token took and the others, how many tokens came each second, what failed, and
which generation answered. With --clients each client waits for its answer
before it asks again; with --rate requests come at random times whatever the
server does, and their time counts from when they were due. It exits with 3
where no request was answered.`,
		Args: arguments(cobra.NoArgs),
	}, func(ctx context.Context, server *client, _ []string) error { return c.runBench(ctx, server, o) })
	flags := cmd.Flags()
	flags.StringArrayVar(&o.plan.Models, "model", nil, "`NAME` to ask; repeat to ask several in turn")
	flags.IntVar(&o.plan.Clients, "clients", 0, "`N` clients that wait for their answers (default 8 without --rate)")
	flags.Float64Var(&o.plan.Rate, "rate", 0, "`N` requests each second, at random times")
	flags.IntVar(&o.plan.Requests, "requests", 0, "send `N` requests in all")
	flags.DurationVar(&o.plan.Duration, "duration", 0, "send for `TIME` (default 30s without --requests)")
	flags.IntVar(&o.plan.Tokens, "tokens", 64, "ask for at most `N` tokens in each request")
	flags.Uint64Var(&o.plan.Seed, "seed", 1, "`N` that the random times begin with")
	flags.StringVar(&o.prompt, "prompt", defaultBenchPrompt, "`TEXT` to send as the prompt")
	flags.StringVar(&o.promptsFile, "prompts", "", "`FILE` with a prompt on each line, sent in turn")
	flags.StringVar(&o.swap, "swap", "", "beside the load, turn `NAME` back and forth between the last two generations of its history")
	flags.DurationVar(&o.swapEvery, "swap-every", 100*time.Millisecond, "with --swap: `TIME` between two swaps")
	flags.StringVarP(&o.format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

func (c *command) runBench(ctx context.Context, server *client, o benchOptions) error {
	if err := oneOf("output", o.format, formats...); err != nil {
		return err
	}
	plan := o.plan
	if plan.Clients == 0 && plan.Rate == 0 {
		plan.Clients = 8
	}
	if plan.Requests == 0 && plan.Duration == 0 {
		plan.Duration = 30 * time.Second
	}
	var err error
	if plan.Prompts, err = o.prompts(); err != nil {
		return err
	}
	if len(plan.Models) == 0 {
		return fault.New(fault.UsageFlag, "bench serve needs a --model").Fix("list what the server has: tenon ps")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if own, ok := server.http.Transport.(*http.Transport); ok {
		transport = own.Clone()
	}
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 1024
	plan.URL, plan.Key, plan.Client = server.url, server.secret, &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()

	answer := benchAnswer{}
	swapping, stop := context.WithCancel(ctx)
	var swaps sync.WaitGroup
	var swapErr error
	if o.swap != "" {
		s := loadtest.Swaps{URL: plan.URL, Key: plan.Key, Client: plan.Client, Alias: o.swap, Every: o.swapEvery}
		if s.Generations, err = lastTwo(ctx, server, o.swap); err != nil {
			stop()
			return err
		}
		swaps.Go(func() { answer.Swaps, swapErr = s.Run(swapping) })
	}
	answer.Result, err = loadtest.Run(ctx, plan)
	stop()
	swaps.Wait()
	if err == nil {
		err = swapErr
	}
	if err != nil {
		return err
	}
	if o.format == "json" {
		err = json.MarshalWrite(c.stdout, answer, json.Deterministic(true), jsontext.WithIndent("  "))
	} else {
		err = answer.write(c.stdout)
	}
	if err != nil || answer.Requests > 0 {
		return err
	}
	return answer.unanswered(server)
}

// unanswered is the error of a load of which nothing was answered: why the first request was not.
func (a benchAnswer) unanswered(server *client) error {
	failed := 0
	for _, n := range a.Failed {
		failed += n
	}
	e := fault.New(fault.ServerDown, "none of %d requests was answered", failed)
	var said *fault.Error
	switch {
	case a.Cause == nil:
		return e
	case !errors.As(a.Cause, &said):
		said = server.unreachable(a.Cause)
	case strings.Contains(said.Cause, plainToTLS):
		said = server.speaksTLS()
	default:
		said = server.remedied(said)
	}
	return e.Wrap(fault.New(said.Code, "%s", said.Cause).Wrap(said.Err)).Fix("%s", cmp.Or(said.Remedy, "see what the server has: tenon ps"))
}

func (o *benchOptions) prompts() ([]string, error) {
	if o.promptsFile == "" {
		return []string{o.prompt}, nil
	}
	f, err := os.Open(o.promptsFile)
	if err != nil {
		return nil, fault.New(fault.IONotFound, "the prompts cannot be read").In(o.promptsFile).Wrap(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPrompts))
	if err != nil {
		return nil, fault.New(fault.IORead, "the prompts cannot be read").In(o.promptsFile).Wrap(err)
	}
	prompts := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
	if len(prompts) == 0 {
		return nil, fault.New(fault.UsageFlag, "there is no prompt in it").In(o.promptsFile).Fix("write one on each line")
	}
	return prompts, nil
}

// lastTwo are the two generations that an alias meant last, the live one second.
func lastTwo(ctx context.Context, server *client, alias string) ([]string, error) {
	var history struct {
		History []struct {
			State      string `json:"state"`
			Generation string `json:"generation"`
		} `json:"history"`
		Rest map[string]jsontext.Value `json:",embed"`
	}
	if failed, err := server.call(ctx, "/api/v1/adapters/"+alias+"/history", nil, &history); err != nil {
		return nil, err
	} else if failed != nil {
		return nil, failed.refusal()
	}
	var found []string
	for _, record := range history.History {
		if record.Generation != "" && record.State != "staged" && !slices.Contains(found, record.Generation) {
			found = append(found, record.Generation)
		}
	}
	if len(found) < 2 {
		return nil, fault.New(fault.UsageFlag, "%s has meant only one generation", alias).Fix("load another adapter under this name first")
	}
	return []string{found[1], found[0]}, nil
}

// write is the answer as a person reads it.
func (a benchAnswer) write(w io.Writer) error {
	rate := func(x float64) string {
		if a.Requests == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", x)
	}
	fmt.Fprintf(w, "%d requests in %.1f s: %s a second, %s parts of text a second\n\n", a.Requests, a.Seconds, rate(a.PerSecond), rate(a.ChunkRate))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "ms\tp50\tp90\tp99\tmax\t")
	for _, line := range []struct {
		name string
		q    loadtest.Quantiles
	}{{"first token", a.First}, {"between tokens", a.Gap}, {"whole answer", a.Whole}} {
		quantileRow(table, line.name, line.q)
	}
	if a.Swaps != nil {
		quantileRow(table, fmt.Sprintf("swap (%d)", a.Swaps.Count), a.Swaps.Took)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, generation := range slices.Sorted(maps.Keys(a.Answered)) {
		fmt.Fprintf(w, "answered by %s: %d\n", shortDigest(generation), a.Answered[generation])
	}
	for _, why := range slices.Sorted(maps.Keys(a.Failed)) {
		fmt.Fprintf(w, "failed, %s: %d\n", report.Escape(why), a.Failed[why])
	}
	return nil
}

// quantileRow is a line of the table. A time that was never taken is "-".
func quantileRow(w io.Writer, name string, q loadtest.Quantiles) {
	if q == (loadtest.Quantiles{}) {
		fmt.Fprintf(w, "%s\t-\t-\t-\t-\t\n", name)
		return
	}
	fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name, q.P50, q.P90, q.P99, q.Max)
}
