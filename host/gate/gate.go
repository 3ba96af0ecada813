// Package gate decides whether an adapter may be merged. It runs the diagnostics that a policy asks for, each in its own sandbox, and lets
// the policy's rules, written in CEL, draw the verdict from what they report. It fails closed: a diagnostic that did not run to its end and
// a rule that cannot be evaluated never admit anything.
package gate

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// Runner runs one module on one input and always gives a result; the text says how far the kernel confined it, "full" or "partial".
type Runner interface {
	Run(ctx context.Context, job worker.Job) (sandbox.Result, string)
}

var _ Runner = (*worker.Runner)(nil)

// Gate checks adapters. It is safe for concurrent use; its fields are not to be changed once it is used.
type Gate struct {
	Policy   *Policy          // what must run, and what it means
	Modules  []modules.Module // what ships with the host; the policy chooses among them by id, and may name files of others
	Runner   Runner
	Parallel int    // modules, and singular value decompositions of the base, at once; below 1 means 1
	CacheDir string // for the base's singular vectors, which are the same for every adapter; "" computes them each time
	Revoked  string // list of revoked modules beside the policy's own; "" for none
	Twice    bool   // every module runs twice, and what it gives must be the same bit for bit
	// Progress hears of slow steps: what is being done, and how much of it. It is called from several goroutines; nil is not told.
	Progress func(what string, done, total int)
}

// Subject is an adapter bound to its base, and what it is held against. Everything stays the caller's and open until Check returns.
type Subject struct {
	Binding *adapter.Binding   // its Base may be nil, for modules that need none
	Peers   []*adapter.Binding // on the same base
	Bank    Bank               // nil where the operator gave none
	Probe   *report.Probe      // what the merged model said; nil where nobody asked it
}

// Bank is the operator's collection of adapters that are known to be good, as far as modules remember them.
type Bank interface {
	Names() []string // digests of the adapters, sorted
	// Features is what a module of that version reported of each adapter as its grid features for a target, "" for the adapter as a
	// whole, in the order of Names; nil where an adapter has none. Rows are of one length.
	Features(module, version, target string) [][]float64
	Digest() [32]byte
}

// Check runs every module of the policy on the subject and decides. The report is a function of the bytes of adapter, peers, base, policy and
// modules, except for what the runs cost. A module that fails is an answer, and part of the report: an error means that there is no
// report, because ctx ended or the base could not be read.
func (g *Gate) Check(ctx context.Context, s Subject) (*report.Report, error) {
	r := g.begin(s.Binding.Adapter, s.Binding.Base)
	r.Coverage = s.Binding.Coverage
	r.Findings = append(r.Findings, notes(s.Binding.Notes)...)
	views, unseen := viewsOf(s.Binding)
	r.Findings = append(r.Findings, unseenFindings(s.Binding, unseen)...)
	for _, peer := range s.Peers {
		r.Peers = append(r.Peers, report.Peer{Ref: peer.Adapter.Ref, Digest: digest(peer.Adapter.Digest)})
	}

	if s.Bank != nil {
		r.Bank = &report.Bank{Digest: digest(s.Bank.Digest()), Adapters: len(s.Bank.Names())}
	}
	if s.Probe != nil {
		r.Probe = s.Probe
		r.Metrics = append(r.Metrics, probeMetrics(s.Probe)...)
	}

	runs := g.schedule()
	warden := newWarden(g.Policy.Revoked, g.Revoked)
	warden.judge(runs)
	vectors, err := g.baseVectors(ctx, s.Binding, views, runs)
	if err != nil {
		return nil, err
	}
	defer vectors.Close()
	in := newInput(s, views, vectors)

	stop := warden.watch()
	var group errgroup.Group
	group.SetLimit(max(g.Parallel, 1))
	for _, run := range guestsFirst(runs) {
		if run.refused == nil {
			group.Go(func() error {
				g.execute(ctx, run, in, warden)
				return nil
			})
		}
	}
	_ = group.Wait()
	stop()
	warden.judge(runs) // what was revoked after it ended gave nothing either
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Canceled, "the check was stopped before it had a result").In(s.Binding.Adapter.Ref).Wrap(err)
	}

	failures := warden.failures()
	for _, run := range runs {
		failures = append(failures, run.collect(r, in)...)
	}
	if changesBeside(s.Binding, unseen) {
		relativize(r.Findings)
	}
	targets := make([]string, len(views))
	for i, v := range views {
		targets[i] = v.name
	}
	if err := g.Policy.decide(ctx, r, targets, failures); err != nil {
		return nil, fault.New(fault.Canceled, "the check was stopped before it had a result").In(s.Binding.Adapter.Ref).Wrap(err)
	}
	return r, nil
}

// Refused is the report on an adapter that was refused before any module ran, because err says that it cannot be read or does not fit the
// base b. ref is what the user called it. binding may be nil, or hold what is known: the adapter, and its coverage. The verdict is deny,
// with one finding for every fault in err.
func (g *Gate) Refused(ref string, b *base.Base, binding *adapter.Binding, err error) *report.Report {
	var a *adapter.Adapter
	if binding != nil {
		a = binding.Adapter
	}
	r := g.begin(a, b)
	r.Verdict = report.Deny
	if a == nil {
		r.Adapter.Ref = ref
	}
	if binding != nil {
		r.Coverage = binding.Coverage
		r.Findings = append(r.Findings, notes(binding.Notes)...)
	}
	faults := fault.All(err)
	for _, e := range faults {
		r.Findings = append(r.Findings, finding(e, report.DenySeverity))
	}
	if len(faults) == 0 {
		r.Findings = append(r.Findings, report.Finding{Code: string(fault.IORead), Severity: report.DenySeverity, Message: err.Error()})
	}
	report.SortFindings(r.Findings)
	return r
}

// begin fills in what is checked, against what, and by which policy. a and b may be nil.
func (g *Gate) begin(a *adapter.Adapter, b *base.Base) *report.Report {
	r := &report.Report{SchemaVersion: report.SchemaVersion, Verdict: report.Inconclusive,
		Policy: report.Policy{Name: g.Policy.Name, Digest: digest(g.Policy.Digest)}}
	if a != nil {
		r.Adapter = report.Adapter{Ref: a.Ref, Format: a.Format, Digest: digest(a.Digest), Rank: a.Ranks(), Parameters: a.Parameters()}
		for _, scale := range a.Scales() {
			r.Adapter.Scale = append(r.Adapter.Scale, report.Number(scale))
		}
	}
	if b != nil {
		r.Base = report.Base{Ref: b.Ref, Digest: digest(b.Digest), DType: b.DType().String(), Parameters: b.Parameters()}
	}
	return r
}

// digest is the form in which a report names bytes; "" for those that were never read.
func digest(sum [32]byte) string {
	if sum == [32]byte{} {
		return ""
	}
	return "sha256:" + hex.EncodeToString(sum[:])
}

// notes are what reading and binding the adapter noticed and did not refuse. The name of the base that an adapter gives is a statement
// nobody can check, and most adapters make it; everything else is worth a warning.
func notes(noticed fault.List) []report.Finding {
	var findings []report.Finding
	for _, note := range noticed {
		severity := report.Warn
		if note.Code == fault.ADBase {
			severity = report.Info
		}
		findings = append(findings, finding(note, severity))
	}
	return findings
}

// finding says what a fault says.
func finding(e *fault.Error, severity report.Severity) report.Finding {
	parts := slices.DeleteFunc([]string{e.Place(), e.Cause}, func(s string) bool { return s == "" })
	message := strings.Join(parts, ": ")
	if e.Err != nil {
		message = fmt.Sprintf("%s: %v", message, e.Err)
	}
	return report.Finding{Code: string(e.Code), Severity: severity, Target: e.Tensor, Message: message, Hint: e.Remedy}
}
