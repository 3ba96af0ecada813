// Command gate-bench plants faults into adapters that have none, runs the default policy on each, with and without a probe file, and prints
// how many it finds, with which reasons, and how many adapters without a fault it denies. The thresholds of the default policy come from
// its table: see docs/gate.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/probe"
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
	var o options
	flag.StringVar(&o.base, "base", "examples/restaurant/base", "base checkpoint")
	flag.StringVar(&o.probe, "probe", "examples/restaurant/probe.yaml", "probe file of the adapters' task")
	flag.StringVar(&o.other, "other-probe", "", "probe file for adapters whose name begins with webnlg")
	flag.StringVar(&o.policy, "policy", "default", "policy")
	flag.StringVar(&o.only, "only", "", "plant this kind of fault only")
	flag.Parse()
	o.adapters = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "gate-bench:", err)
		os.Exit(1)
	}
}

type options struct {
	base, probe, other, policy, only string
	adapters                         []string // directories
}

func run(ctx context.Context, w io.Writer, o options) (err error) {
	b := bench{probed: map[string]*host.Host{}}
	if b.dir, err = os.MkdirTemp("", "tenon-gate-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.base, err = base.Open(o.base); err != nil {
		return err
	}
	defer b.base.Close()
	other := filepath.Join(b.dir, "other-base")
	if err := writeOtherBase(o.base, other); err != nil {
		return err
	}
	if b.other, err = base.Open(other); err != nil {
		return err
	}
	defer b.other.Close()
	if b.plain, err = host.New(host.Options{}); err != nil {
		return err
	}
	if o.only != "" {
		faults = slices.DeleteFunc(faults, func(f fault) bool { return f.kind != o.only })
	}

	var all []benign
	var trials []trial
	for _, dir := range o.adapters {
		name := filepath.Base(dir)
		file := o.probe
		if o.other != "" && len(name) >= 6 && name[:6] == "webnlg" {
			file = o.other
		}
		asked, err := probe.Load(file)
		if err != nil {
			return err
		}
		if b.probed[name], err = host.New(host.Options{Probe: asked}); err != nil {
			return err
		}
		known := benign{name: name}
		if known.plain, err = check(ctx, b.plain, b.base, dir, nil); err != nil {
			return err
		}
		if known.probed, err = check(ctx, b.probed[name], b.base, dir, nil); err != nil {
			return err
		}
		all = append(all, known)
		a, err := readAdapter(dir)
		if err != nil {
			return err
		}
		planted, err := b.run(ctx, a, known.plain, known.probed)
		if err != nil {
			return err
		}
		trials = append(trials, planted...)
		fmt.Fprintf(os.Stderr, "%s: %d faults planted\n", name, len(planted))
	}
	fmt.Fprintf(w, "### Adapters without a fault\n\n")
	printBenign(w, all)
	fmt.Fprintf(w, "\n### Planted faults\n\n")
	printFaults(w, trials)
	fmt.Fprintf(w, "\n### Missed\n\n")
	printMissed(w, trials)
	return nil
}
