package host

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// ledger is what a Serving remembers beyond its own life: the truth about what is live, the bytes it is made of, and why it was let in.
type ledger interface {
	KeepAdapter(ctx context.Context, digest [32]byte, files []registry.File) error
	AdapterDir(digest [32]byte) (string, error)
	Discard(ctx context.Context, digest [32]byte) error
	Decide(ctx context.Context, d registry.Decision) (int64, error)
	Decision(ctx context.Context, id int64) (registry.Decision, error)
	Commit(ctx context.Context, expected uint64, a registry.Activation) (registry.Activation, error)
	At(ctx context.Context, base [32]byte, alias string) (uint64, error)
	Live(ctx context.Context, base [32]byte) ([]registry.Activation, error)
	History(ctx context.Context, alias string, limit int) ([]registry.Activation, error)
	Audit(ctx context.Context, page registry.Page) (rows []registry.AuditRow, next string, err error)
	Close() error
}

var _ ledger = (*registry.Registry)(nil)

// openLedger opens the data directory that the options name. Where nothing is to be kept it is one that goes with the process.
func openLedger(ctx context.Context, o ServeOptions, b *base.Base, h *Host) (ledger, error) {
	dir := o.Data
	if dir == "" && o.State != "" {
		dir = filepath.Join(o.State, fmt.Sprintf("serve-%x", b.Digest[:6]))
	}
	var r *registry.Registry
	var err error
	if dir == "" {
		r, err = registry.Temporary(ctx, h.log)
	} else {
		r, err = registry.Open(ctx, registry.Options{Dir: dir, Log: h.log})
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// keep puts an adapter's files, as they were checked, into the store, by the names under which reopen finds them.
func keep(ctx context.Context, l ledger, a *adapter.Adapter) error {
	files := make([]registry.File, 0, len(a.Files))
	for _, f := range a.Files {
		files = append(files, registry.File{Name: f.Name, Data: f.Data, Size: f.Size, SHA256: f.SHA256})
	}
	return l.KeepAdapter(ctx, a.Digest, files)
}

// reopen makes a generation of what the store keeps. Bytes that are not those of then are put aside, never served.
func reopen(ctx context.Context, l ledger, b *base.Base, a registry.Activation) (*generation, error) {
	dir, err := l.AdapterDir(a.Adapter)
	if err != nil {
		return nil, err
	}
	binding, err := openAdapter(ctx, dir, b)
	if err != nil {
		if binding != nil && binding.Adapter != nil {
			_ = binding.Close()
		}
		return nil, err
	}
	g := &generation{binding: binding, owner: binding, want: a.Content}
	if err := g.planned(ctx, l, a); err != nil {
		_ = g.owner.Close()
		return nil, err
	}
	binding.Adapter.Ref = a.Ref // for people: where it came from
	return g, nil
}

// planned gives a reopened generation its plan, if it is the one that was committed.
func (g *generation) planned(ctx context.Context, l ledger, a registry.Activation) (err error) {
	if got := g.binding.Adapter.Digest; got != a.Adapter {
		err := fault.New(fault.DigestBad, "the kept adapter is %s, it was %s", merge.DigestString(got), merge.DigestString(a.Adapter)).
			In(g.binding.Adapter.Dir).Fix("its bytes were changed on the disk and have been put aside: load it again")
		if discarded := l.Discard(ctx, a.Adapter); discarded != nil {
			return fmt.Errorf("%w; putting it aside: %w", err, discarded)
		}
		return err
	}
	if g.plan, err = merge.NewPlan(g.binding, 1); err != nil {
		return err
	}
	if server.Mode(a.Mode) == server.ModeUnmerged {
		g.plan = g.plan.Unmerge()
	}
	if g.plan.Digest != a.Generation {
		return fault.New(fault.DigestBad, "the adapter's generation is %s, it was %s", merge.DigestString(g.plan.Digest), merge.DigestString(a.Generation)).
			In(a.Ref).Fix("another version of Tenon planned it in another way: load it again")
	}
	return nil
}

// decide records what the gate said, and on what grounds.
func (s *Serving) decide(ctx context.Context, load server.Load, r *report.Report) (int64, error) {
	var text bytes.Buffer
	if err := report.JSON(&text, r); err != nil {
		return 0, err
	}
	actor := server.ActorOf(ctx)
	d := registry.Decision{
		Time: time.Now().UTC(), Actor: actor.Name, Tenant: actor.Tenant, Alias: load.Alias, Ref: load.Ref,
		Adapter: r.Adapter.Digest, Base: r.Base.Digest, Policy: r.Policy.Digest, Verdict: string(r.Verdict), Report: text.Bytes(),
	}
	for _, m := range r.Modules {
		d.Modules = append(d.Modules, m.ID+"@sha256:"+m.SHA256)
	}
	for _, f := range r.Findings {
		d.Findings = append(d.Findings, f.Code)
	}
	id, err := s.ledger.Decide(context.WithoutCancel(ctx), d)
	if err == nil {
		s.remember(id, r.Verdict)
	}
	return id, err
}

// maxVerdicts bounds how many verdicts are kept in memory: the ledger has them all, beside reports that are large.
const maxVerdicts = 4096

// verdict is what a decision said; "" where the ledger does not know it.
func (s *Serving) verdict(ctx context.Context, decision int64) report.Verdict {
	s.state.RLock()
	v, known := s.verdicts[decision]
	s.state.RUnlock()
	if known {
		return v
	}
	d, err := s.ledger.Decision(ctx, decision)
	if err != nil {
		return ""
	}
	s.remember(decision, report.Verdict(d.Verdict))
	return report.Verdict(d.Verdict)
}

func (s *Serving) remember(decision int64, v report.Verdict) {
	s.state.Lock()
	defer s.state.Unlock()
	if len(s.verdicts) >= maxVerdicts {
		clear(s.verdicts)
	}
	s.verdicts[decision] = v
}

// reportOf reads the report of a decision.
func (s *Serving) reportOf(ctx context.Context, decision int64) (*report.Report, error) {
	d, err := s.ledger.Decision(ctx, decision)
	if err != nil {
		return nil, err
	}
	var r report.Report
	if err := json.Unmarshal(d.Report, &r); err != nil {
		return nil, fault.New(fault.RegCorrupt, "the report of decision %d cannot be read", decision).Wrap(err).Fix("tenon audit verify names what is damaged")
	}
	return &r, nil
}
