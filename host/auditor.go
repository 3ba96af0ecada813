package host

import (
	"context"

	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/server"
)

var _ server.Auditor = (*Serving)(nil)

// Audit lists what was decided and changed, newest first.
func (s *Serving) Audit(ctx context.Context, page server.AuditPage) ([]server.AuditRow, string, error) {
	rows, next, err := s.ledger.Audit(ctx, registry.Page{Tenant: page.Tenant, After: page.After, Limit: page.Limit})
	if err != nil {
		return nil, "", err
	}
	out := make([]server.AuditRow, len(rows))
	for i, r := range rows {
		out[i] = server.AuditRow{Sequence: r.Sequence, Time: r.Time, Kind: r.Kind, Actor: r.Actor, Tenant: r.Tenant, Alias: r.Alias, Detail: r.Detail,
			Previous: merge.DigestString(r.Previous), Hash: merge.DigestString(r.Hash)}
	}
	return out, next, nil
}
