// Command gate-bench plants faults into adapters that have none, lets the default policy judge each of them in three ways, and prints how
// many it finds, with which reasons, and how many adapters without a fault it denies. The thresholds of the default policy come from its
// tables: see docs/gate.md.
//
//	gate-bench                                          the adapters that come with Tenon, from the root of the repository
//	gate-bench -base DIR -probe FILE ADAPTER...         adapters of your own
//	gate-bench -base none ADAPTER...                    adapters whose base is not at hand
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/plugins/cpu"
	"github.com/tenon-ml/tenon/wasm/worker"
)

func main() {
	switch {
	case worker.Invoked():
		worker.Main()
		return
	case os.Args[0] == backend.CPUArgv0:
		cpu.Main(cpu.Options{})
		return
	}
	o := options{}
	flag.StringVar(&o.base, "base", "", "base checkpoint of the adapters given, or none")
	flag.StringVar(&o.probe, "probe", "", "probe file of the adapters' task; without one there is only arm a")
	flag.StringVar(&o.policy, "policy", "", "policy `FILE`; without one it is the default policy")
	flag.StringVar(&o.only, "only", "", "plant this kind of fault only")
	flag.StringVar(&o.arms, "arms", "a,b,c", "which of: a without a probe, b with one, c with one that records the likelihoods")
	flag.IntVar(&o.texts, "texts", 4, "ask so many texts of each role, the first of the file; 0 asks all")
	flag.IntVar(&o.parallel, "parallel", 2, "trials at once")
	flag.StringVar(&o.expect, "expect", "", "write each adapter's probe file, with the likelihoods of its merged model, into this `DIR`")
	flag.StringVar(&o.write, "write", "", "replace the generated part of this page as well")
	flag.Parse()
	o.adapters = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "gate-bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	base, probe, policy, only, arms, expect, write string
	texts, parallel                                int
	adapters                                       []string // directories
}

// subjects are the adapters to plant faults in.
func (o options) subjects() ([]*subject, error) {
	if len(o.adapters) == 0 {
		if o.base != "" || o.probe != "" {
			return nil, fmt.Errorf("-base and -probe are for adapters that are named on the command line")
		}
		return atHand()
	}
	switch o.base {
	case "":
		return nil, fmt.Errorf("give the base of these adapters with -base DIR, or -base none")
	case "none":
		if o.probe != "" {
			return nil, fmt.Errorf("there is no model to ask: leave out -probe, or give -base")
		}
		o.base = ""
	}
	var subjects []*subject
	for _, dir := range o.adapters {
		subjects = append(subjects, &subject{name: filepath.Base(filepath.Clean(dir)), dir: dir, base: o.base, probe: o.probe, trained: true})
	}
	return subjects, nil
}

func run(ctx context.Context, o options) (err error) {
	planted := faults
	if o.only != "" {
		planted = slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.kind != o.only })
		if len(planted) == 0 {
			return fmt.Errorf("-only %s is no kind of fault: the kinds are %s", o.only, strings.Join(kinds(), ", "))
		}
	}
	arms, err := parseArms(o.arms)
	if err != nil {
		return err
	}
	subjects, err := o.subjects()
	if err != nil {
		return err
	}
	b, err := newBench(o, arms)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := b.close(); err == nil {
			err = closeErr
		}
	}()
	results, err := b.all(ctx, subjects, planted)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	printAll(&page, subjects, planted, results, arms)
	if _, err := os.Stdout.Write(page.Bytes()); err != nil {
		return err
	}
	if o.write != "" {
		return rewrite(o.write, page.Bytes())
	}
	return nil
}

func kinds() []string {
	var names []string
	for _, f := range faults {
		names = append(names, f.kind)
	}
	return names
}
