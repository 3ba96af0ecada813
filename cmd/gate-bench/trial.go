package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	rejection "github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
)

// know judges a subject as it is, and writes its probe file with likelihoods.
func (b *bench) know(ctx context.Context, s *subject) (err error) {
	if s.benign, err = b.judge(ctx, s, b.baseOf(s), s.dir, nil); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if s.benign.probe == nil || !b.arms[expected] {
		return nil
	}
	dir := b.dir
	if b.expect != "" {
		dir = b.expect
	}
	s.expect = filepath.Join(dir, strings.ReplaceAll(s.name, "/", "-")+".yaml")
	if err := writeProbe(s.expect, b.probes[s.probe], 0, s.benign.probe); err != nil {
		return err
	}
	s.benign, err = b.judge(ctx, s, b.baseOf(s), s.dir, nil) // now in the third arm too
	return err
}

func (b *bench) baseOf(s *subject) *base.Base {
	if s.base == "" {
		return nil
	}
	return b.bases[s.base].base
}

// try plants a fault and judges what comes of it; false where the fault does not apply.
func (b *bench) try(ctx context.Context, t *trial) (bool, error) {
	damaged := t.subject.adapter.clone()
	seed := fnv.New64a()
	fmt.Fprintf(seed, "%s %s", t.fault.kind, t.subject.name)
	if !t.fault.plant(damaged, rand.New(rand.NewPCG(seed.Sum64(), 1))) {
		return false, nil
	}
	dir, err := os.MkdirTemp(b.dir, "trial-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	planted, peer := filepath.Join(dir, "planted"), filepath.Join(dir, "peer")
	if err := damaged.write(planted); err != nil {
		return false, err
	}
	var with []string
	if t.fault.with != nil {
		if err := t.fault.with(t.subject.adapter).write(peer); err != nil {
			return false, err
		}
		with = []string{peer}
	}
	on := b.baseOf(t.subject)
	if t.fault.base {
		on = b.bases[t.subject.base].other
	}
	found, err := b.judge(ctx, t.subject, on, planted, with)
	if err != nil {
		return false, fmt.Errorf("%s in %s: %w", t.fault.kind, t.subject.name, err)
	}
	for a := range arms {
		if found.by[a].verdict != "" {
			t.results[a] = judge(t.fault, t.subject.benign.by[a], found.by[a])
		}
	}
	t.numbers = found.numbers
	t.unchanged = t.fault.with == nil && unchanged(t.subject.benign, found)
	return true, nil
}

// judge lets the gate judge the adapter that lies in dir, in every arm that is wanted and possible.
func (b *bench) judge(ctx context.Context, s *subject, on *base.Base, dir string, with []string) (outcomes, error) {
	runner := newMemo(b.runner)
	if on == nil {
		return b.judgeAlone(ctx, runner, dir, with)
	}
	var out outcomes
	if b.arms[unasked] || s.probe == "" {
		checked, err := b.check(ctx, runner, nil, on, dir, with)
		if err != nil {
			return out, err
		}
		out.by[unasked], out.numbers = newOutcome(checked.Report), numbers(checked.Report)
		if err := checked.Close(); err != nil {
			return out, err
		}
	}
	if s.probe == "" || !b.arms[asked] && !b.arms[expected] {
		return out, nil
	}
	checked, err := b.check(ctx, runner, b.probes[s.probe], on, dir, with)
	if err != nil {
		return out, err
	}
	defer checked.Close()
	out.probe, out.numbers = checked.Report.Probe, numbers(checked.Report)
	plain := newOutcome(checked.Report)
	if b.arms[asked] {
		out.by[asked] = plain
	}
	if s.expect == "" {
		return out, nil
	}
	out.by[expected] = plain
	if out.probe == nil { // there was no model to ask, and nothing that could be held against what is expected
		return out, nil
	}
	r, err := b.expected(ctx, runner, s, checked, on, with)
	if err != nil {
		return out, err
	}
	out.by[expected], out.numbers = plain.and(newOutcome(r)), numbers(r)
	return out, nil
}

// check is the whole flow of a host, up to the verdict.
func (b *bench) check(
	ctx context.Context, runner gate.Runner, ask *probe.File, on *base.Base, dir string, with []string,
) (*host.Checked, error) {
	h, err := host.New(host.Options{Policy: b.policy, Runner: runner, Probe: ask})
	if err != nil {
		return nil, err
	}
	return h.Check(ctx, on, dir, with)
}

// expected lets the gate judge once more what was checked, with the same answers beside the likelihoods that they should have.
func (b *bench) expected(
	ctx context.Context, runner gate.Runner, s *subject, checked *host.Checked, on *base.Base, with []string,
) (*report.Report, error) {
	file, err := probe.Load(s.expect)
	if err != nil {
		return nil, err
	}
	subject := gate.Subject{Binding: checked.Binding, Probe: expecting(checked.Report.Probe, file)}
	for _, ref := range with {
		peer, err := adapter.Load(ref, on)
		if err != nil {
			return nil, err
		}
		defer peer.Adapter.Close()
		subject.Peers = append(subject.Peers, peer)
	}
	h, err := host.New(host.Options{Policy: b.policy, Runner: runner})
	if err != nil {
		return nil, err
	}
	return h.Gate().Check(ctx, subject)
}

// judgeAlone judges an adapter whose base nobody has.
func (b *bench) judgeAlone(ctx context.Context, runner gate.Runner, dir string, with []string) (out outcomes, err error) {
	h, err := host.New(host.Options{Policy: b.factors, Runner: runner})
	if err != nil {
		return out, err
	}
	var bindings []*adapter.Binding
	for i, ref := range append([]string{dir}, with...) {
		binding, err := unbound(ref)
		if binding != nil {
			defer binding.Adapter.Close()
		}
		if err != nil && i == 0 && rejection.ClassOf(err) == rejection.Rejected {
			return outcomes{by: [arms]outcome{unasked: newOutcome(h.Gate().Refused(dir, nil, binding, err))}}, nil
		}
		if err != nil {
			return out, err
		}
		bindings = append(bindings, binding)
	}
	var r *report.Report
	if r, err = h.Gate().Check(ctx, gate.Subject{Binding: bindings[0], Peers: bindings[1:]}); err != nil {
		return out, err
	}
	out.by[unasked], out.numbers = newOutcome(r), numbers(r)
	return out, nil
}

// unbound opens an adapter and binds it to nothing. The caller closes the Adapter of what comes back, with an error too.
func unbound(ref string) (*adapter.Binding, error) {
	a, err := adapter.Open(ref)
	if err != nil {
		return nil, err
	}
	return a.Unbound()
}
