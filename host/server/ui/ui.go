// Package ui is the dashboard: pages made on the server, which work without a script, and one script that keeps them up to date. It shows
// what the engine says and does nothing that the API does not.
package ui

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// Options of New.
type Options struct {
	Log     *slog.Logger
	Version string
	// SignIn says whose an API key is. nil: whoever comes is the operator.
	SignIn func(secret string) (server.Principal, bool)
	Secure bool // the site is reached over TLS, so its cookie may not be sent otherwise
}

//go:embed style.css app.js
var assets embed.FS

//go:embed *.html
var sources embed.FS

// Handler is the dashboard. Its paths begin with /ui/.
type Handler struct {
	Options
	front    server.Front
	mux      *http.ServeMux
	sessions *sessions
	failures *failures
	pages    map[string]*template.Template
}

var _ server.Dashboard = (*Handler)(nil)

// New makes the dashboard of a server.
func New(front server.Front, o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{Options: o, front: front, mux: http.NewServeMux(), sessions: newSessions(), failures: newFailures(), pages: map[string]*template.Template{}}
	for _, name := range []string{"overview", "adapter", "compare", "signin", "problem"} {
		h.pages[name] = template.Must(template.New("layout.html").Funcs(functions).ParseFS(sources, "layout.html", name+".html"))
	}
	h.mux.HandleFunc("GET /ui/style.css", asset("style.css", "text/css; charset=utf-8"))
	h.mux.HandleFunc("GET /ui/app.js", asset("app.js", "text/javascript; charset=utf-8"))
	h.mux.HandleFunc("GET /ui/signin", h.showSignIn)
	h.mux.HandleFunc("POST /ui/signin", h.signIn)
	h.mux.HandleFunc("POST /ui/signout", h.signOut)
	for pattern, guarded := range map[string]struct {
		scope  server.Scope
		handle func(http.ResponseWriter, *http.Request, server.Principal) error
	}{
		"GET /ui/{$}":       {server.ScopeRead, h.overview},
		"GET /ui/adapter":   {server.ScopeRead, h.adapter},
		"GET /ui/report":    {server.ScopeRead, h.report},
		"GET /ui/compare":   {server.ScopeRead, h.compare},
		"GET /ui/events":    {server.ScopeRead, h.events},
		"POST /ui/complete": {server.ScopeRead, h.complete},
		"POST /ui/load":     {server.ScopeLoad, h.load},
		"POST /ui/activate": {server.ScopeActivate, h.activate},
		"POST /ui/rollback": {server.ScopeActivate, h.rollback},
		"POST /ui/unload":   {server.ScopeActivate, h.unload},
	} {
		h.mux.HandleFunc(pattern, h.guard(guarded.scope, guarded.handle))
	}
	h.mux.HandleFunc("GET /ui", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ui/", http.StatusSeeOther) })
	return h
}

// contentPolicy lets a page load its own style and script, talk to this server, and nothing else.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP implements http.Handler. That a form comes from this site was seen to by the server.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, r)
}

// guard lets in who has signed in and may do this, and makes pages of errors.
func (h *Handler) guard(scope server.Scope, handle func(http.ResponseWriter, *http.Request, server.Principal) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who := server.PrincipalOf(r.Context())
		ok := who.Name != ""
		switch {
		case !ok && r.Method == http.MethodGet && r.URL.Path != "/ui/events":
			http.Redirect(w, r, "/ui/signin", http.StatusSeeOther)
			return
		case !ok:
			http.Error(w, "sign in first", http.StatusUnauthorized)
			return
		}
		err := error(notAllowed{scope})
		if who.May(scope) {
			err = handle(w, r, who)
		}
		if err != nil {
			h.problem(r.Context(), w, who, err)
		}
	}
}

// notAllowed is an action that the key's scopes do not include.
type notAllowed struct{ scope server.Scope }

func (e notAllowed) Error() string {
	return "your key does not allow this: it needs the scope " + string(e.scope)
}

// statusOf is the HTTP status of an error, as far as a person's browser cares.
func statusOf(err error) int {
	if errors.As(err, &notAllowed{}) {
		return http.StatusForbidden
	}
	var told interface{ Status() int }
	if errors.As(err, &told) {
		return told.Status()
	}
	all := fault.All(err)
	if len(all) == 0 {
		return http.StatusInternalServerError
	}
	switch {
	case all[0].Code == fault.IONotFound:
		return http.StatusNotFound
	case fault.ClassOf(err) == fault.Operational:
		return http.StatusServiceUnavailable
	}
	return http.StatusUnprocessableEntity
}

// problem shows what went wrong.
func (h *Handler) problem(ctx context.Context, w http.ResponseWriter, who server.Principal, err error) {
	status := statusOf(err)
	var soon interface{ RetryAfter() int }
	if errors.As(err, &soon) && soon.RetryAfter() > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(soon.RetryAfter()))
	}
	if status >= http.StatusInternalServerError {
		h.Log.WarnContext(ctx, "the dashboard could not answer", "cause", report.Escape(err.Error()))
	}
	h.render(w, status, "problem", page{Title: "That did not work", Who: h.visitor(who), Body: report.Escape(err.Error())})
}

// render writes a page as a whole, or none of it.
func (h *Handler) render(w http.ResponseWriter, status int, name string, p page) {
	p.Version = h.Version
	var b bytes.Buffer
	if err := h.pages[name].Execute(&b, p); err != nil {
		h.Log.Error("a page cannot be written", "page", name, "cause", err)
		http.Error(w, "this page cannot be written; the server's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser is gone if this fails
}

// page is what layout.html shows around Body.
type page struct {
	Title   string
	Version string
	Here    string // which entry of the navigation this is
	Who     visitor
	Body    any
}

// visitor is who looks, as far as pages show it.
type visitor struct {
	Name, Tenant         string
	SignedIn             bool
	CanLoad, CanActivate bool
}

func (h *Handler) visitor(who server.Principal) visitor {
	return visitor{Name: who.Name, Tenant: who.Tenant, SignedIn: h.SignIn != nil && who.Name != "", CanLoad: who.May(server.ScopeLoad),
		CanActivate: who.May(server.ScopeActivate)}
}

func asset(name, kind string) http.HandlerFunc {
	data, err := assets.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(data)
	}
}

// functions of the templates. What is foreign goes through text, which shows control characters instead of obeying them.
var functions = template.FuncMap{
	"text":  report.Escape,
	"short": short,
	"bytes": sizeOf,
	"when":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
}

// short is a digest as people compare it.
func short(digest string) string {
	const prefix, digits = "sha256:", 12
	if len(digest) > len(prefix)+digits && digest[:len(prefix)] == prefix {
		return digest[len(prefix) : len(prefix)+digits]
	}
	return report.Escape(digest)
}
