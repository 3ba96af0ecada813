package ui

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// everything reports whether a visitor may see and change what is every tenant's.
func everything(who server.Principal) bool { return who.Tenant == "" && who.May(server.ScopeAdmin) }

// visible reports whether a visitor may know of an alias: his tenant's own, and the operator's.
func visible(who server.Principal, alias string) bool {
	tenant, _ := server.Unqualify(alias)
	return tenant == "" || tenant == who.Tenant || everything(who)
}

// owns reports whether a visitor may change what an alias means.
func owns(who server.Principal, alias string) bool {
	tenant, _ := server.Unqualify(alias)
	return tenant == who.Tenant || everything(who)
}

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
	Name, Tenant string
	Live         time.Time
	Requests     int
	Class        string
	Mine         bool // the visitor may change it
}

func (h *Handler) overview(w http.ResponseWriter, _ *http.Request, who server.Principal) error {
	view := overview{Status: h.Engine.Status()}
	requests := map[string]int{}
	for _, g := range h.Engine.Generations() {
		requests[g.Generation] = g.Requests
	}
	for i, m := range h.Engine.Models() {
		if i == 0 {
			view.Base = m
			continue
		}
		if visible(who, m.ID) {
			view.Adapters = append(view.Adapters, newRow(m, requests[m.Generation], who))
		}
	}
	if view.Status.MemoryLimit > 0 {
		view.Share = int(100 * view.Status.MemoryUsed / view.Status.MemoryLimit)
	}
	h.render(w, http.StatusOK, "overview", page{Title: "Adapters", Here: "overview", Who: h.visitor(who), Body: view})
	return nil
}

func newRow(m server.Model, requests int, who server.Principal) row {
	r := row{Model: m, Live: time.Unix(m.Created, 0), Requests: requests, Mine: owns(who, m.ID)}
	r.Tenant, r.Name = server.Unqualify(m.ID)
	switch {
	case m.State == server.StateFailed:
		r.Class = "bad"
	case m.Verdict == report.WarnVerdict:
		r.Class = "doubtful"
	default:
		r.Class = "good"
	}
	return r
}

// detail is what the page of one adapter shows.
type detail struct {
	row
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
	view, err := h.detail(r.Context(), alias, who)
	if err != nil {
		return err
	}
	h.render(w, http.StatusOK, "adapter", page{Title: view.Name, Here: "overview", Who: h.visitor(who), Body: view})
	return nil
}

// historyLength is how many entries of a history a page shows.
const historyLength = 50

func (h *Handler) detail(ctx context.Context, alias string, who server.Principal) (*detail, error) {
	unknown := fault.New(fault.IONotFound, "there is no adapter of this name").Fix("go back to the list")
	if alias == "" || !visible(who, alias) {
		return nil, unknown
	}
	view := &detail{}
	view.ID, view.Mine = alias, owns(who, alias)
	view.Tenant, view.Name = server.Unqualify(alias)
	for _, m := range h.Engine.Models()[1:] {
		if m.ID == alias {
			view.row = newRow(m, 0, who)
		}
	}
	records, err := h.Engine.History(ctx, alias, historyLength)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 && view.Generation == "" {
		return nil, unknown
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
		if rep, err := h.Engine.Report(ctx, alias, ""); err == nil {
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
