package server

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// Auditor is an Engine that keeps an audit.
type Auditor interface {
	// Audit lists rows, newest first, and where the next page starts: "" after the last one.
	Audit(ctx context.Context, page AuditPage) (rows []AuditRow, next string, err error)
}

// AuditPage is a part of the audit.
type AuditPage struct {
	Tenant string // whose rows; "" is everybody's
	After  string // next of the page before; "" is the newest
	Limit  int
}

// AuditRow is one thing that was decided or changed.
type AuditRow struct {
	Sequence uint64         `json:"sequence" doc:"From 1, without holes. Rows are ordered by it, never by their time."`
	Time     time.Time      `json:"time"`
	Kind     string         `json:"kind"`
	Actor    string         `json:"actor"`
	Tenant   string         `json:"tenant"`
	Alias    string         `json:"alias"`
	Detail   jsontext.Value `json:"detail,omitzero" doc:"What the kind has to say."`
	Previous string         `json:"previous" doc:"Hash of the row before."`
	Hash     string         `json:"hash"`
}

type auditAnswer struct {
	Rows []AuditRow `json:"rows"`
	Next string     `json:"next" doc:"Where the next page starts; empty after the last."`
}

// audit answers GET /api/v1/audit.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) error {
	auditor, ok := s.engine.(Auditor)
	if !ok {
		return &apiError{status: http.StatusNotImplemented, code: fault.UsageFlag, quiet: true, message: "this server keeps no audit"}
	}
	limit, err := numberOf(r, "limit", defaultPage, maxPage)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	rows, next, err := auditor.Audit(r.Context(), AuditPage{Tenant: query.Get("tenant"), After: query.Get("after"), Limit: limit})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, auditAnswer{rows, next})
	return nil
}
