// Package host is the flow of Tenon, for a program to embed: open an adapter, check it against a base, gate it, stage its generation in a
// backend, make it live, roll it back.
//
//	reference ─open─▶ Adapter ─check─▶ Report ─gate─▶ Verdict ─stage─▶ Generation ─activate─▶ live
//
// Check stops after the verdict, Merge writes the generation to disk, Serve keeps it resident. There is one implementation of each step.
//
// A program that embeds this package must let its own executable be re-executed as a sandbox worker and as the CPU backend: see
// cmd/tenon/main.go, which is ten lines.
package host

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/bank"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// Options configure a Host. The zero value works.
type Options struct {
	CacheDir string           // for what can be computed again; "" is tenon in the user's cache directory
	Policy   *gate.Policy     // nil is the default policy
	Probe    *probe.File      // asked of each merged model before the gate decides; nil is the policy's, if it names one
	BankDir  string           // the operator's bank of adapters to hold each one against; "" is none
	Modules  []modules.Module // what the policy finds by id alone; nil is what ships with Tenon
	Revoked  string           // list of revoked modules beside the policy's own, read anew before each run; "" is none
	Twice    bool             // every module runs twice, and must give the same
	Runner   gate.Runner      // runs diagnostics; nil runs each in a sandbox worker of this executable
	Spares   int              // workers that wait for the next run, so that it starts sooner: for a process that lives; without Runner only
	Backend  backend.Spec     // what merges and serves; the zero value is the CPU backend of this executable
	Log      *slog.Logger
	Progress func(what string, done, total int) // hears of slow steps, from several goroutines; may be nil
}

// Host runs the flow. It is safe for concurrent use.
type Host struct {
	gate     *gate.Gate
	probe    *probe.File    // nil where nothing is asked
	runner   *worker.Runner // its own; nil where the caller gave one
	backend  backend.Spec
	bankDir  string // "" where there is none
	cacheDir string
	log      *slog.Logger
	progress func(what string, done, total int) // may be nil
}

// New prepares a Host. It touches no adapter. The caller closes it.
func New(o Options) (*Host, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Policy == nil {
		o.Policy = gate.DefaultPolicy()
	}
	probes, err := chooseProbe(o)
	if err != nil {
		return nil, err
	}
	if o.CacheDir == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fault.New(fault.UsageFlag, "there is no cache directory").Wrap(err).Fix("set TENON_CACHE_DIR")
		}
		o.CacheDir = filepath.Join(dir, "tenon")
	}
	absolute, err := filepath.Abs(o.CacheDir)
	if err == nil {
		err = os.MkdirAll(absolute, 0o700)
	}
	if err != nil {
		return nil, fault.New(fault.IOWrite, "the cache directory cannot be made").In(o.CacheDir).Wrap(err).Fix("set TENON_CACHE_DIR to a directory you own")
	}
	o.CacheDir = absolute
	if o.Modules == nil {
		builtin, err := modules.Builtin()
		if err != nil {
			return nil, err
		}
		o.Modules = builtin
	}
	if err := o.Policy.Missing(); err != nil {
		o.Log.Warn("the gate stays closed: modules of the policy are missing", "policy", o.Policy.Name, "cause", err)
	}
	if o.Revoked != "" {
		if o.Revoked, err = filepath.Abs(o.Revoked); err != nil {
			return nil, fault.New(fault.UsageFlag, "the place of the list of revoked modules cannot be told").In(o.Revoked).Wrap(err)
		}
	}
	if len(o.Backend.Command) == 0 {
		o.Backend = backend.Embedded()
	}
	var runner *worker.Runner
	if o.Runner == nil {
		compiled := filepath.Join(o.CacheDir, "wasm")
		if err := worker.CheckCache(compiled); err != nil {
			o.Log.Warn("diagnostics are compiled anew for each check", "cause", err)
		}
		runner = &worker.Runner{CacheDir: compiled, Spares: o.Spares}
		runner.Warm()
		o.Runner = runner
	}
	return &Host{
		gate: &gate.Gate{Policy: o.Policy, Modules: o.Modules, Runner: o.Runner, Parallel: runtime.GOMAXPROCS(0), CacheDir: o.CacheDir, Progress: o.Progress,
			Revoked: o.Revoked, Twice: o.Twice},
		probe:    probes,
		runner:   runner,
		backend:  o.Backend,
		bankDir:  o.BankDir,
		cacheDir: o.CacheDir,
		log:      o.Log,
		progress: o.Progress,
	}, nil
}

// Close ends the workers that wait for a run. A Host that is not closed loses them when they have waited in vain for a while, or with its
// process.
func (h *Host) Close() error {
	if h.runner == nil {
		return nil
	}
	return h.runner.Close()
}

// Checked is an adapter after the gate. Its binding and everything it borrows stay open until Close.
type Checked struct {
	Report  *report.Report
	Binding *adapter.Binding // nil when the adapter could not be bound to the base
	Plan    *merge.Plan      // what was judged, and what may be merged where the gate is open; nil without a binding
	staged  *merge.Staged    // the plan's generation, where it was staged to be asked
	closers []io.Closer
}

// Close releases the adapter and its peers. The base is the caller's.
func (c *Checked) Close() error {
	var errs []error
	for _, closer := range c.closers {
		errs = append(errs, closer.Close())
	}
	c.closers = nil
	return errors.Join(errs...)
}

// Check opens an adapter, binds it to the base, runs the policy's diagnostics and decides. with are references of adapters to compare it
// with. Where there are probes a backend runs for as long as it takes to ask them. An adapter that is refused, for whatever reason, is an
// answer: it gives a report and no error. An error means that the question could not be answered. The caller closes the result.
func (h *Host) Check(ctx context.Context, b *base.Base, ref string, with []string) (*Checked, error) {
	return h.checkAlone(ctx, b, question{ref: ref, scale: 1, with: with})
}

// question is what the gate is asked about.
type question struct {
	ref   string
	scale float64            // factor on the adapter's own scale: a verdict on a change is none on ten times that change
	with  []string           // references of adapters to compare with
	live  []*adapter.Binding // more of them, which are open already; check closes them
	bank  gate.Bank          // in place of the operator's own; nil takes that
	// settle decides how the plan is carried out, before anything of it is staged to be asked; nil leaves it as it is.
	settle func(context.Context, *Checked) error
}

// Remember checks an adapter as Check does, beside a bank with nothing in it: what a bank keeps of an adapter does not depend on who came
// first.
func (h *Host) Remember(ctx context.Context, b *base.Base, ref string) (*Checked, error) {
	return h.checkAlone(ctx, b, question{ref: ref, scale: 1, bank: bank.Empty(b.Digest)})
}

// checkAlone asks probes, where there are any, in a backend that runs for as long as that takes.
func (h *Host) checkAlone(ctx context.Context, b *base.Base, q question) (*Checked, error) {
	if h.probe == nil {
		return h.check(ctx, b, q, nil)
	}
	lab, err := h.newLaboratory(b)
	if err == nil {
		err = lab.fits()
	}
	if err != nil {
		return nil, err
	}
	defer lab.stop(ctx)
	return h.check(ctx, b, q, lab)
}

// check is the flow up to the verdict. Probes are asked in lab; what was staged there and is not let through is released.
func (h *Host) check(ctx context.Context, b *base.Base, q question, lab *laboratory) (_ *Checked, err error) {
	defer func() {
		for _, peer := range q.live {
			err = errors.Join(err, peer.Close())
		}
	}()
	checked, err := h.bind(ctx, b, q.ref, q.scale)
	if err != nil || checked.Binding == nil {
		return checked, err
	}
	defer func() {
		if checked.staged != nil && (err != nil || !checked.Report.Verdict.Open()) {
			lab.release(ctx, checked.Plan.Digest)
			checked.staged = nil
		}
		if err != nil {
			err = errors.Join(err, checked.Close())
		}
	}()
	peers, err := checked.peers(b, q.with)
	if err != nil {
		return nil, err
	}
	subject := gate.Subject{Binding: scaled(checked.Binding, q.scale), Peers: append(peers, q.live...)}
	if subject.Bank = q.bank; q.bank == nil && h.bankDir != "" {
		if subject.Bank, err = bank.Open(h.bankDir, b.Digest); err != nil {
			return nil, err
		}
	}
	var refusal error
	if h.probe != nil {
		if q.settle != nil {
			if err = q.settle(ctx, checked); err != nil {
				return nil, err
			}
		}
		if subject.Probe, refusal, err = h.ask(ctx, checked, lab); err != nil {
			return nil, err
		}
	}
	if checked.Report, err = h.judge(ctx, subject); err != nil {
		return nil, err
	}
	object(checked.Report, refusal)
	return checked, nil
}

// peers opens the adapters to compare with. They are closed with c.
func (c *Checked) peers(b *base.Base, refs []string) ([]*adapter.Binding, error) {
	peers := make([]*adapter.Binding, 0, len(refs))
	for _, ref := range refs {
		peer, err := adapter.Load(ref, b)
		if peer != nil && peer.Adapter != nil {
			c.closers = append(c.closers, peer)
		}
		if err != nil {
			if fault.ClassOf(err) != fault.Operational {
				err = fault.New(fault.UsageFlag, "the adapter cannot be compared with").In(ref).Wrap(err).Fix("check it alone first: tenon check %s", ref)
			}
			return nil, err
		}
		peers = append(peers, peer)
	}
	return peers, nil
}

// bind opens an adapter, binds it to the base and plans its merge. What comes without a binding is refused, and its report says why.
func (h *Host) bind(ctx context.Context, b *base.Base, ref string, scale float64) (_ *Checked, err error) {
	checked := &Checked{}
	defer func() {
		if err != nil {
			err = errors.Join(err, checked.Close())
		}
	}()
	binding, err := openAdapter(ctx, ref, b)
	if binding != nil && binding.Adapter != nil {
		checked.closers = append(checked.closers, binding)
	}
	if err != nil {
		if fault.ClassOf(err) != fault.Rejected {
			return nil, err
		}
		checked.Report = h.gate.Refused(ref, b, binding, err)
		return checked, nil
	}
	checked.Binding = binding
	if checked.Plan, err = merge.NewPlan(binding, scale); err != nil {
		return nil, err
	}
	return checked, nil
}

// scaled is a binding as the diagnostics see it: with the scales that are merged. It borrows the adapter.
func scaled(binding *adapter.Binding, scale float64) *adapter.Binding {
	if scale == 1 {
		return binding
	}
	a, b := *binding.Adapter, *binding
	a.Pairs = slices.Clone(a.Pairs)
	for i := range a.Pairs {
		a.Pairs[i].Scale *= scale
	}
	b.Targets = slices.Clone(b.Targets)
	for i := range b.Targets {
		b.Targets[i].Scale *= scale
	}
	b.Adapter = &a
	return &b
}
