package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// bench is what all trials share.
type bench struct {
	dir      string // for what is written, removed at the end
	arms     [arms]bool
	texts    int
	expect   string // where probe files with likelihoods are kept; "" keeps none
	parallel int
	runner   gate.Runner
	policy   *gate.Policy           // for adapters with a base
	factors  *gate.Policy           // for those without
	bases    map[string]*basePair   // by directory
	probes   map[string]*probe.File // by file, cut to the texts that are asked
	done     atomic.Int64           // trials
	mu       sync.Mutex             // of what is printed
}

// basePair is a base, and one of the same shape with other weights.
type basePair struct {
	base  *base.Base
	other *base.Base // nil where it was not made, and why says so
	why   string
}

// largestOther is the largest base, in weights, that another is made of: it is held in memory.
const largestOther = 500_000_000

func newBench(o options, wanted [arms]bool) (*bench, error) {
	b := &bench{arms: wanted, texts: o.texts, expect: o.expect, parallel: max(o.parallel, 1), policy: gate.DefaultPolicy(),
		bases: map[string]*basePair{}, probes: map[string]*probe.File{}}
	b.factors, _ = gate.Builtin("factors")
	if o.policy != "" {
		p, err := gate.LoadPolicy(o.policy)
		if err != nil {
			return nil, err
		}
		b.policy = p
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	compiled := filepath.Join(cache, "tenon", "wasm")
	if err := worker.CheckCache(compiled); err != nil {
		return nil, err
	}
	b.runner = &worker.Runner{CacheDir: compiled}
	if o.expect != "" {
		if err := os.MkdirAll(o.expect, 0o700); err != nil {
			return nil, err
		}
	}
	b.dir, err = os.MkdirTemp("", "tenon-gate-bench-")
	return b, err
}

func (b *bench) close() error {
	var errs []error
	for _, p := range b.bases {
		errs = append(errs, p.base.Close())
		if p.other != nil {
			errs = append(errs, p.other.Close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// open opens the base of a subject and makes the other one, once.
func (b *bench) open(dir string) error {
	if dir == "" || b.bases[dir] != nil {
		return nil
	}
	opened, err := base.Open(dir)
	if err != nil {
		return err
	}
	pair := &basePair{base: opened}
	b.bases[dir] = pair
	switch {
	case opened.Servable() != nil:
		pair.why = "is not of the Llama family"
	case len(opened.Shards) != 1:
		pair.why = "is in several files"
	case opened.Parameters() > largestOther:
		pair.why = "is too large"
	default:
		other := filepath.Join(b.dir, fmt.Sprintf("other-base-%d", len(b.bases)))
		if err := writeOtherBase(dir, other); err != nil {
			return err
		}
		pair.other, err = base.Open(other)
		return err
	}
	fmt.Fprintf(os.Stderr, "gate-bench: wrong-base is left out, because %s %s\n", dir, pair.why)
	return nil
}

// load reads a probe file and cuts it to the texts that are asked, once.
func (b *bench) load(path string) error {
	if path == "" || b.probes[path] != nil {
		return nil
	}
	whole, err := probe.Load(path)
	if err != nil {
		return err
	}
	cut := filepath.Join(b.dir, fmt.Sprintf("probe-%d.yaml", len(b.probes)))
	if err := writeProbe(cut, whole, b.texts, nil); err != nil {
		return err
	}
	b.probes[path], err = probe.Load(cut)
	return err
}

// trial is one fault planted into one adapter.
type trial struct {
	subject   *subject
	fault     fault
	results   [arms]result
	numbers   map[string]float64
	unchanged bool // the merged model does what it did without the fault
}

// all judges every subject, and then every fault planted into every subject it applies to. Trials come in the order of subjects and faults.
func (b *bench) all(ctx context.Context, subjects []*subject, planted []fault) ([]trial, error) {
	for i, s := range subjects {
		var err error
		if s.adapter, err = readAdapter(s.dir); err != nil {
			return nil, err
		}
		err = errors.Join(b.open(s.base), b.load(s.probe))
		if s.base == "" && err == nil && s.adapter.behead() {
			s.name += " (head taken off)"
			s.dir = filepath.Join(b.dir, fmt.Sprintf("headless-%d", i))
			err = s.adapter.write(s.dir)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if err := b.each(ctx, len(subjects), func(ctx context.Context, i int) error { return b.know(ctx, subjects[i]) }); err != nil {
		return nil, err
	}
	var trials []trial
	for _, s := range subjects {
		for _, f := range planted {
			if f.base && (s.base == "" || b.bases[s.base].other == nil) {
				continue
			}
			trials = append(trials, trial{subject: s, fault: f})
		}
	}
	applies := make([]bool, len(trials))
	err := b.each(ctx, len(trials), func(ctx context.Context, i int) (err error) {
		applies[i], err = b.try(ctx, &trials[i])
		b.tell(&trials[i], applies[i], len(trials))
		return err
	})
	if err != nil {
		return nil, err
	}
	kept := trials[:0]
	for i := range trials {
		if applies[i] {
			kept = append(kept, trials[i])
		}
	}
	return kept, nil
}

// each runs f for 0 to n-1, some at once.
func (b *bench) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(b.parallel)
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return f(ctx, i)
		})
	}
	return group.Wait()
}

// tell says how far the bench is.
func (b *bench) tell(t *trial, applies bool, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	done := b.done.Add(1)
	if !applies {
		return
	}
	var verdicts []string
	for _, r := range t.results {
		verdicts = append(verdicts, fmt.Sprintf("%s%v", r.verdict, r.reasons))
	}
	fmt.Fprintf(os.Stderr, "%d/%d %s %s: %s\n", done, total, t.subject.name, t.fault.kind, strings.Join(verdicts, " "))
}
