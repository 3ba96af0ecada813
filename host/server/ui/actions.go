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
func (h *Handler) report(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	query := r.URL.Query()
	alias := query.Get("alias")
	if !visible(who, alias) {
		return fault.New(fault.IONotFound, "there is no adapter of this name")
	}
	rep, err := h.Engine.Report(r.Context(), alias, query.Get("generation"))
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
func (h *Handler) load(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	name, ref := strings.TrimSpace(r.PostFormValue("name")), strings.TrimSpace(r.PostFormValue("ref"))
	base := h.Engine.Models()[0].ID
	if err := server.CheckAlias(name, base); err != nil {
		return err
	}
	if ref == "" {
		return fault.New(fault.UsageFlag, "the adapter's place is missing").Fix("give its directory on the server")
	}
	ref, err := who.Within(ref)
	if err != nil {
		return err
	}
	loaded, err := h.Engine.Load(r.Context(), server.Load{Alias: server.Qualify(who.Tenant, name), Ref: ref,
		Mode: server.Mode(r.PostFormValue("mode")), Staged: r.PostFormValue("staged") != ""})
	if err != nil {
		return err
	}
	if !loaded.Report.Verdict.Open() {
		return writeReport(w, http.StatusUnprocessableEntity, loaded.Report)
	}
	toAdapter(w, r, server.Qualify(who.Tenant, name))
	return nil
}

func (h *Handler) activate(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	return h.change(w, r, who, func(alias string) error {
		_, err := h.Engine.Activate(r.Context(), alias, r.PostFormValue("generation"))
		return err
	})
}

func (h *Handler) rollback(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	return h.change(w, r, who, func(alias string) error {
		_, err := h.Engine.Rollback(r.Context(), alias, r.PostFormValue("generation"))
		return err
	})
}

func (h *Handler) unload(w http.ResponseWriter, r *http.Request, who server.Principal) error {
	return h.change(w, r, who, func(alias string) error { return h.Engine.Unload(r.Context(), alias) })
}

// change does something to an alias of the visitor's and shows it again. The alias of somebody else does not exist.
func (h *Handler) change(w http.ResponseWriter, r *http.Request, who server.Principal, do func(alias string) error) error {
	alias := r.PostFormValue("alias")
	if alias == "" || !owns(who, alias) {
		return fault.New(fault.IONotFound, "there is no adapter of this name that you may change")
	}
	if err := do(alias); err != nil {
		return err
	}
	toAdapter(w, r, alias)
	return nil
}

func toAdapter(w http.ResponseWriter, r *http.Request, alias string) {
	http.Redirect(w, r, "/ui/adapter?alias="+url.QueryEscape(alias), http.StatusSeeOther)
}
