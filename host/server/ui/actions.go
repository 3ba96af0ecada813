package ui

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/figure"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// report shows the whole report of a generation, with its figures.
func (h *Handler) report(w http.ResponseWriter, r *http.Request, _ server.Principal) error {
	query := r.URL.Query()
	rep, err := h.front.View(r.Context()).Report(r.Context(), query.Get("alias"), query.Get("generation"))
	if err != nil {
		return err
	}
	return writeReport(w, http.StatusOK, rep)
}

func writeReport(w http.ResponseWriter, status int, rep *report.Report) error {
	var b bytes.Buffer
	if err := report.HTML(&b, rep, figure.ForPage(rep)); err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'") // the page brings the rest: it lets its own script run, by its hash
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}

// load takes an adapter through the gate. A refusal is answered with its report.
func (h *Handler) load(w http.ResponseWriter, r *http.Request, _ server.Principal) error {
	name, ref, mode := strings.TrimSpace(r.PostFormValue("name")), strings.TrimSpace(r.PostFormValue("ref")), server.Mode(r.PostFormValue("mode"))
	if ref == "" {
		return fault.New(fault.UsageFlag, "the adapter's place is missing").Fix("give its directory on the server")
	}
	switch mode {
	case "", server.ModeAuto, server.ModeMerged, server.ModeUnmerged:
	default:
		return fault.New(fault.UsageFlag, "there is no such mode").Fix("choose auto, merged or unmerged")
	}
	loaded, err := h.front.View(r.Context()).Load(r.Context(), server.Load{Alias: name, Ref: ref, Mode: mode, Staged: r.PostFormValue("staged") != ""})
	if err != nil {
		return err
	}
	if !loaded.Report.Verdict.Open() {
		return writeReport(w, http.StatusUnprocessableEntity, loaded.Report)
	}
	toAdapter(w, r, name)
	return nil
}

func (h *Handler) activate(w http.ResponseWriter, r *http.Request, _ server.Principal) error {
	alias := r.PostFormValue("alias")
	if _, err := h.front.View(r.Context()).Activate(r.Context(), alias, r.PostFormValue("generation")); err != nil {
		return err
	}
	toAdapter(w, r, alias)
	return nil
}

func (h *Handler) rollback(w http.ResponseWriter, r *http.Request, _ server.Principal) error {
	alias := r.PostFormValue("alias")
	if _, err := h.front.View(r.Context()).Rollback(r.Context(), alias, r.PostFormValue("generation")); err != nil {
		return err
	}
	toAdapter(w, r, alias)
	return nil
}

func (h *Handler) unload(w http.ResponseWriter, r *http.Request, _ server.Principal) error {
	alias := r.PostFormValue("alias")
	if err := h.front.View(r.Context()).Unload(r.Context(), alias); err != nil {
		return err
	}
	toAdapter(w, r, alias)
	return nil
}

// toAdapter shows an alias again after something was done to it.
func toAdapter(w http.ResponseWriter, r *http.Request, alias string) {
	http.Redirect(w, r, "/ui/adapter?alias="+url.QueryEscape(alias), http.StatusSeeOther)
}
