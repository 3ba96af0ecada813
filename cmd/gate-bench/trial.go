package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/report"
)

// bench is everything a trial needs.
type bench struct {
	dir         string // for what is written
	base, other *base.Base
	plain       *host.Host            // the default policy
	probed      map[string]*host.Host // by adapter: with a probe file of its task
}

// outcome is what the gate said of one adapter.
type outcome struct {
	verdict  report.Verdict
	findings []report.Finding // of severity warn and deny
}

// codes lists the codes of the findings, each once.
func (o outcome) codes() []string {
	var codes []string
	for _, f := range o.findings {
		if !slices.Contains(codes, f.Code) {
			codes = append(codes, f.Code)
		}
	}
	return codes
}

// general codes say only that there are findings: they are no reason.
var general = []string{"DIAGNOSTIC_DENIES", "DIAGNOSTIC_WARNS"}

// trial is one fault planted into one adapter.
type trial struct {
	fault         fault
	adapter       string
	plain, probed result
}

// result is how the gate took a planted fault.
type result struct {
	outcome
	reasons []string // new findings, which the benign adapter does not have, that say what is wrong
	others  []string // new findings that say something else
}

func (r result) found() bool { return len(r.reasons) > 0 }

// check runs the gate on an adapter that lies in dir.
func check(ctx context.Context, h *host.Host, b *base.Base, dir string, with []string) (outcome, error) {
	checked, err := h.Check(ctx, b, dir, with)
	if err != nil {
		return outcome{}, err
	}
	defer checked.Close()
	out := outcome{verdict: checked.Report.Verdict}
	for _, f := range checked.Report.Findings {
		if !slices.Contains(general, f.Code) && (f.Severity != report.Info || isPairCode(f.Code)) {
			out.findings = append(out.findings, f)
		}
	}
	return out, nil
}

// isPairCode tells findings about two adapters, which are no warning: whoever loads both decides.
func isPairCode(code string) bool {
	return slices.Contains([]string{"NEAR_DUPLICATE", "DUPLICATE", "CLASH", "OPPOSITE"}, code)
}

// judge holds what the gate says of a planted fault against what it says of the adapter without it.
func judge(f fault, benign, planted outcome) result {
	r := result{outcome: planted}
	before := benign.codes()
	for _, code := range planted.codes() {
		switch {
		case slices.Contains(before, code):
		case slices.Contains(f.reasons, code):
			r.reasons = append(r.reasons, code)
		default:
			r.others = append(r.others, code)
		}
	}
	return r
}

// plant makes the damaged adapter, and the one to compare it with where the fault is one of a pair; false where it does not apply.
func (b *bench) plant(f fault, benign *adapter) (dir string, with []string, ok bool, err error) {
	damaged := benign.clone()
	seed := fnv.New64a()
	fmt.Fprintf(seed, "%s %s", f.kind, benign.name)
	if !f.plant(damaged, rand.New(rand.NewPCG(seed.Sum64(), 1))) {
		return "", nil, false, nil
	}
	dir = filepath.Join(b.dir, benign.name, f.kind)
	if err := damaged.write(dir); err != nil {
		return "", nil, false, err
	}
	if f.with != nil {
		peer := filepath.Join(b.dir, benign.name, f.kind+"-peer")
		if err := f.with(benign).write(peer); err != nil {
			return "", nil, false, err
		}
		with = []string{peer}
	}
	return dir, with, true, nil
}

// run plants every fault into an adapter. benign is what the gate says of the adapter itself.
func (b *bench) run(ctx context.Context, a *adapter, plain, probed outcome) ([]trial, error) {
	var trials []trial
	for _, f := range faults {
		dir, with, ok, err := b.plant(f, a)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		on := b.base
		if f.base {
			on = b.other
		}
		t := trial{fault: f, adapter: a.name}
		for _, arm := range []struct {
			host   *host.Host
			benign outcome
			into   *result
		}{{b.plain, plain, &t.plain}, {b.probed[a.name], probed, &t.probed}} {
			planted, err := check(ctx, arm.host, on, dir, with)
			if err != nil {
				return nil, fmt.Errorf("%s in %s: %w", f.kind, a.name, err)
			}
			*arm.into = judge(f, arm.benign, planted)
		}
		trials = append(trials, t)
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return trials, nil
}
