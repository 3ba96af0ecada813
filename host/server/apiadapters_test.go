package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// TestAPI takes an adapter through Tenon's own routes.
func TestAPI(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f)
	generation := GenerationName([]byte{0xab})
	for _, c := range []struct {
		method, path, body string
		status             int
		has                string
	}{
		{"GET", "/api/v1/adapters/chat", "", 404, `no adapter is called \"chat\"`},
		{"POST", "/api/v1/adapters/chat", `{"ref":"/a","mode":"merged"}`, 200, `"verdict":"admit"`},
		{"GET", "/api/v1/adapters/chat", "", 200, `"mode":"merged"`},
		{"GET", "/api/v1/adapters/chat/history", "", 200, `"action":"activate"`},
		{"GET", "/api/v1/adapters/chat/history?limit=1000", "", 200, `"alias":"chat"`},
		{"GET", "/api/v1/adapters/chat/history?limit=1001", "", 400, "limit"},
		{"GET", "/api/v1/adapters/chat/history?limit=0", "", 400, "limit"},
		{"GET", "/api/v1/adapters/chat/report", "", 200, `"schemaVersion": "tenon.report/v1"`},
		{"GET", "/api/v1/adapters/chat/report?generation=" + generation, "", 200, `"verdict": "admit"`},
		{"GET", "/api/v1/adapters/chat/report?generation=sha256:cd", "", 404, "chat"},
		{"GET", "/api/v1/adapters/chat/report?format=pdf", "", 400, "format"},
		{"POST", "/api/v1/adapters/chat/activate", `{"generation":"` + generation + `"}`, 200, generation},
		{"POST", "/api/v1/adapters/chat/activate", `{"generation":"sha256:cd"}`, 404, "sha256:cd"},
		{"POST", "/api/v1/adapters/chat/activate", `{}`, 400, "generation is missing"},
		{"POST", "/api/v1/adapters/chat/rollback", `{}`, 200, `"history":0`},
		{"POST", "/api/v1/adapters/chat/rollback", `{"to":"x"}`, 400, "to"},
		{"GET", "/api/v1/generations", "", 200, `"aliases":["chat"]`},
		{"GET", "/api/v1/status", "", 200, `"name":"fake 1"`},
		{"GET", "/api/v1/version", "", 200, `{"version":"test","base":"tiny"}`},
		{"GET", "/api/v1/audit", "", 501, "keeps no audit"},
		{"DELETE", "/api/v1/adapters/chat", "", 200, `{"alias":"chat"}`},
		{"DELETE", "/api/v1/adapters/chat", "", 404, "chat"},
		{"GET", "/api/v1/adapters/chat/report", "", 404, `no adapter is called \"chat\"`},
		{"POST", "/api/v1/adapters/chat", `{}`, 400, "ref is missing"},
		{"POST", "/api/v1/adapters/chat", `{"ref":"/a","mode":"fast"}`, 400, "no mode"},
		{"POST", "/api/v1/adapters/tiny", `{"ref":"/a"}`, 400, "the base's name"},
		{"POST", "/api/v1/adapters/a%2Fb%2Fc", `{"ref":"/a"}`, 400, "not a name"},
		{"POST", "/api/v1/adapters/%00", `{"ref":"/a"}`, 400, `\\x00`},
		{"GET", "/api/v1/adapters/", "", 404, "no such path"},
		{"GET", "/api/v1/adapters/chat/", "", 404, "no such path"},
		{"PUT", "/api/v1/adapters/chat", "", 405, "use DELETE or GET or POST"},
		{"GET", "/api/v1/adapters/chat/rollback", "", 405, "use POST"},
		{"POST", "/api/v1/rollback", `{"alias":"chat"}`, 404, "no such path"},
	} {
		w := as(t, s, "", c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.has)
		}
	}
	if want := (Actor{Name: "operator"}); f.actor != want {
		t.Errorf("on a server without keys the actor is %v", f.actor)
	}
}

// TestAPIRefusal: 422 with the report, as on vLLM's route; a lost race is a conflict.
func TestAPIRefusal(t *testing.T) {
	f := newFake(t)
	f.verdict = report.Deny
	w := do(t, newServer(t, f), "/api/v1/adapters/chat", `{"ref":"/a"}`)
	wantError(t, w, 422, fault.ADTarget, "", "verdict deny")
	var body problem
	decode(t, w.Body.String(), &body)
	if body.Report == nil || body.Report.Verdict != report.Deny {
		t.Errorf("%s", w.Body)
	}
	f.loadErr = fault.New(fault.Conflict, "somebody was faster")
	wantError(t, do(t, newServer(t, f), "/api/v1/adapters/chat", `{"ref":"/a"}`), 409, fault.Conflict, "", "faster")
}

// TestReportPage: a report's page cannot do anything to the server that it comes from.
func TestReportPage(t *testing.T) {
	f := newFake(t)
	f.loaded["x"] = modelOf("x", `/<script>alert(1)</script>`)
	w := do(t, newServer(t, f), "/api/v1/adapters/x/report?format=html", "")
	if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") || strings.Contains(w.Body.String(), "<script>alert") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if strings.Contains(w.Header().Get("Content-Security-Policy"), "allow-same-origin") {
		t.Error("it has the server's origin")
	}
}

// audited is a fake with an audit of three rows.
type audited struct {
	*fake
	page AuditPage
}

func (a *audited) Audit(_ context.Context, page AuditPage) ([]AuditRow, string, error) {
	a.page = page
	return []AuditRow{{Sequence: 3, Time: time.Unix(0, 0).UTC(), Kind: "activate", Actor: "ci", Tenant: "acme", Alias: "acme/x", Detail: jsontext.Value(`{"a":1}`),
		Previous: "00", Hash: "01"}}, "3", nil
}

func TestAudit(t *testing.T) {
	a := &audited{fake: newFake(t)}
	s := New(a, Options{Log: newServer(t, a.fake).log, BaseName: "tiny", Addr: "127.0.0.1:8321"})
	w := as(t, s, "", http.MethodGet, "/api/v1/audit?limit=7&after=9&tenant=acme", "")
	if want := (AuditPage{Tenant: "acme", After: "9", Limit: 7}); w.Code != 200 || a.page != want {
		t.Errorf("%d %s, asked for %+v", w.Code, w.Body, a.page)
	}
	var answer auditAnswer
	decode(t, w.Body.String(), &answer)
	if answer.Next != "3" || len(answer.Rows) != 1 || answer.Rows[0].Alias != "acme/x" {
		t.Errorf("%s", w.Body)
	}
}

// TestDashboard: what is below /ui/ is the dashboard's, with the principal of the request, and nothing beside it.
func TestDashboard(t *testing.T) {
	k := newKeys(t, "a acme read")
	var who []Principal
	ui := func(Front) Dashboard {
		return board{nobody, func(w http.ResponseWriter, r *http.Request) {
			who = append(who, PrincipalOf(r.Context()))
			writeText(w, r.URL.Path)
		}}
	}
	s := New(newFake(t), Options{Log: newServer(t, newFake(t)).log, BaseName: "tiny", Addr: "127.0.0.1:8321", Keys: k.Keys, UI: ui})
	for _, c := range []struct {
		secret, path string
		status       int
	}{{"", "/ui", 200}, {"", "/ui/x", 200}, {k.secrets["a"], "/ui/", 200}, {"tenon_x", "/ui/", 401}, {"", "/uix", 404}} {
		if w := as(t, s, c.secret, "GET", c.path, ""); w.Code != c.status {
			t.Errorf("%s: %d", c.path, w.Code)
		}
	}
	if len(who) != 3 || who[0].May(ScopeRead) || who[2].Tenant != "acme" {
		t.Errorf("it was asked by %v", who)
	}
}
