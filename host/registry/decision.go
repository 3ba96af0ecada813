package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
)

// Decision is what the gate said of one adapter, and on what grounds.
type Decision struct {
	ID       int64     // given by Decide: the number of its audit row
	Time     time.Time // given by Decide
	Actor    string    // who asked; never a secret
	Tenant   string    // "" is the operator
	Alias    string    // qualified name it was asked for
	Ref      string    // as it was written
	Adapter  string    // digest, "sha256:…"
	Base     string    // digest, "sha256:…"
	Policy   string    // digest, "sha256:…"
	Modules  []string  // that gave the grounds, "id@sha256:…"
	Verdict  string
	Findings []string // codes
	Report   []byte   // JSON of tenon.report/v1; nil in lists, and where there was none
	Override string   // why the gate was overridden; "" where it was not
}

// Decide records a decision and returns its number. When it returns without an error, decision and report are on the disk.
func (r *Registry) Decide(ctx context.Context, d Decision) (int64, error) {
	detail := decisionDetail{Ref: d.Ref, Adapter: d.Adapter, Base: d.Base, Policy: d.Policy, Modules: d.Modules, Verdict: d.Verdict,
		Findings: d.Findings, Override: d.Override}
	if d.Report != nil {
		detail.Report = sha256.Sum256(d.Report)
		if err := r.keepReport(ctx, detail.Report, d.Report); err != nil {
			return 0, err
		}
	}
	kind := KindDecision
	if d.Override != "" {
		kind = KindOverride
	}
	var id int64
	err := r.write(ctx, func(c *change) error {
		made, err := c.add(entry{Kind: kind, Actor: d.Actor, Tenant: d.Tenant, Alias: d.Alias, Detail: detail})
		id = int64(made.Sequence)
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// Decision is the decision of that number, with its report; fault.IONotFound where there is none, and fault.RegMissing where its report is
// gone.
func (r *Registry) Decision(ctx context.Context, id int64) (Decision, error) {
	rows, err := r.listRows(ctx, linked+"WHERE a.sequence = ? AND a.topic = 'decision'", id)
	if err != nil {
		return Decision{}, err
	}
	if len(rows) == 0 {
		return Decision{}, fault.New(fault.IONotFound, "there is no decision %d", id)
	}
	d, report, err := rows[0].decision()
	if err != nil {
		return Decision{}, r.badDecision(rows[0], err)
	}
	if report != (digest{}) {
		if d.Report, err = r.readReport(report); err != nil {
			return Decision{}, err
		}
	}
	return d, nil
}

// Decisions lists decisions without their reports, newest first, and where the next page starts ("" after the last).
func (r *Registry) Decisions(ctx context.Context, page Page) (list []Decision, next string, err error) {
	rows, next, err := r.listPage(ctx, page, " AND a.topic = 'decision'")
	if err != nil {
		return nil, "", err
	}
	list = make([]Decision, len(rows))
	for i, row := range rows {
		if list[i], _, err = row.decision(); err != nil {
			return nil, "", r.badDecision(row, err)
		}
	}
	return list, next, nil
}

func (r *Registry) badDecision(row AuditRow, err error) error {
	return corrupt(r.dir, r.path(DatabaseName), "row %d of the audit table is not a decision", row.Sequence).Wrap(err)
}

// decision reads a decision, and the digest of its report, out of its row.
func (row AuditRow) decision() (Decision, digest, error) {
	var d decisionDetail
	if topicOf(row.Kind) != topicDecision || row.Sequence > math.MaxInt64 {
		return Decision{}, digest{}, errors.New("its kind is another")
	}
	if err := json.Unmarshal(row.Detail, &d, json.RejectUnknownMembers(true)); err != nil {
		return Decision{}, digest{}, err
	}
	return Decision{ID: int64(row.Sequence), Time: row.Time, Actor: row.Actor, Tenant: row.Tenant, Alias: row.Alias, Ref: d.Ref, Adapter: d.Adapter,
		Base: d.Base, Policy: d.Policy, Modules: d.Modules, Verdict: d.Verdict, Findings: d.Findings, Override: d.Override}, d.Report, nil
}
