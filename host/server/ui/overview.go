package ui

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// overview is what the first page shows.
type overview struct {
	Status   server.Status
	Base     server.Model
	Adapters []row
	Share    int // of the memory that is used, in percent
	Requests int
}

// row is one adapter of the table.
type row struct {
	server.Model
	Alias        string // as the visitor calls it
	Name, Tenant string // the parts of it
	Live         time.Time
	Requests     int // 0 too where others use the generation
	Class        string
	Mine         bool // the visitor may change it
}

func (h *Handler) overview(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	view, seen := overview{Status: h.front.Status()}, h.front.View(r.Context())
	requests := map[string]int{}
	for _, g := range seen.Generations() {
		requests[g.Generation] = g.Requests
	}
	for _, m := range seen.Models() {
		if m.Parent == "" {
			view.Base = m.Model
			continue
		}
		view.Adapters = append(view.Adapters, newRow(m, requests[m.Generation]))
	}
	if view.Status.MemoryLimit > 0 {
		view.Share = int(100 * view.Status.MemoryUsed / view.Status.MemoryLimit)
	}
	h.render(w, http.StatusOK, "overview", page{Title: "Adapters", Here: "overview", Who: h.visitor(who), Body: view})
	return nil
}

func newRow(m server.Seen, requests int) row {
	r := row{Model: m.Model, Alias: m.Name, Live: time.Unix(m.Created, 0), Requests: requests, Mine: !m.Shared}
	r.Tenant, r.Name = server.Unqualify(m.Name)
	switch {
	case m.State == server.StateFailed:
		r.Class = "bad"
	case m.State == server.StateReturning, m.Verdict == report.WarnVerdict:
		r.Class = "doubtful"
	default:
		r.Class = "good"
	}
	return r
}

// detail is what the page of one adapter shows.
type detail struct {
	row
	Turns    bool // the visitor may go back in Records, and make live what is staged there
	Records  []record
	Verdict  report.Verdict
	Findings []report.Finding
}

// record is one entry of the history.
type record struct {
	server.Record
	Back   bool // it can be gone back to
	Staged bool // it can be made live
	Now    bool // it is what the alias means
	Dialog string
}

func (h *Handler) adapter(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	alias := r.URL.Query().Get("alias")
	view, err := h.detail(r.Context(), alias)
	if err != nil {
		return err
	}
	h.render(w, http.StatusOK, "adapter", page{Title: view.Name, Here: "overview", Who: h.visitor(who), Body: view})
	return nil
}

// historyLength is how many entries of a history a page shows.
const historyLength = 50

func (h *Handler) detail(ctx context.Context, alias string) (*detail, error) {
	seen := h.front.View(ctx)
	records, shared, err := seen.History(ctx, alias, historyLength)
	if err != nil {
		return nil, err
	}
	view := &detail{Turns: !shared}
	view.Alias = alias
	view.Tenant, view.Name = server.Unqualify(alias)
	if m, ok := seen.Find(alias); ok {
		view.row = newRow(m, 0)
	}
	marked := false
	for i, one := range records {
		entry := record{Record: one, Dialog: fmt.Sprintf("do-%d", i)}
		entry.Now = !marked && view.State == server.StateLive && one.Generation == view.Generation && one.Action != "stage"
		marked = marked || entry.Now
		entry.Staged = one.State == server.StateStaged && !entry.Now
		entry.Back = one.Generation != "" && one.Generation != view.Generation && !entry.Staged &&
			!slices.ContainsFunc(view.Records, func(r record) bool { return r.Generation == one.Generation && r.Back })
		view.Records = append(view.Records, entry)
	}
	if view.Generation != "" {
		if rep, err := seen.Report(ctx, alias, ""); err == nil {
			view.Verdict, view.Findings = rep.Verdict, rep.Findings
		}
	}
	return view, nil
}

// sizeOf writes a number of bytes for people.
func sizeOf(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(n), 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[unit]
}
