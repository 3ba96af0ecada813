package ui

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/server"
)

const (
	cookieName  = "tenon_session"
	sessionTime = 12 * time.Hour
	maxSessions = 1024
	maxSecret   = 512
	signInEvery = 200 * time.Millisecond // the least time between two failed attempts, over all visitors
)

// sessions remembers in memory which browser showed which key. The key itself is asked again at each request, so one that was revoked ends
// its sessions.
type sessions struct {
	mu     sync.Mutex
	open   map[string]session
	failed time.Time
}

type session struct {
	secret string
	until  time.Time
}

func newSessions() *sessions { return &sessions{open: map[string]session{}} }

// begin gives a new session's token. When there are too many, the one that ends first makes room.
func (s *sessions) begin(secret string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	oldest := ""
	for token, one := range s.open {
		if now.After(one.until) {
			delete(s.open, token)
			continue
		}
		if oldest == "" || one.until.Before(s.open[oldest].until) {
			oldest = token
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, oldest)
	}
	token := rand.Text()
	s.open[token] = session{secret, now.Add(sessionTime)}
	return token
}

func (s *sessions) secret(token string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.open[token]
	if ok && time.Now().After(one.until) {
		delete(s.open, token)
		ok = false
	}
	return one.secret, ok
}

func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, token)
}

// tooSoon reports whether another attempt failed only just now, and otherwise takes the turn.
func (s *sessions) tooSoon() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.failed) < signInEvery {
		return true
	}
	return false
}

func (s *sessions) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = time.Now()
}

// who is whose browser sent a request.
func (h *Handler) who(r *http.Request) (server.Principal, bool) {
	if h.SignIn == nil {
		return server.Operator(), true
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return server.Principal{}, false
	}
	secret, ok := h.sessions.secret(cookie.Value)
	if !ok {
		return server.Principal{}, false
	}
	return h.SignIn(secret)
}

func (h *Handler) showSignIn(w http.ResponseWriter, r *http.Request) {
	if _, ok := h.who(r); ok {
		http.Redirect(w, r, "/ui/", http.StatusSeeOther)
		return
	}
	h.render(w, http.StatusOK, "signin", page{Title: "Sign in", Body: ""})
}

func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) {
	secret := r.PostFormValue("key")
	refused := func(status int, why string) { h.render(w, status, "signin", page{Title: "Sign in", Body: why}) }
	switch {
	case h.SignIn == nil:
		http.Redirect(w, r, "/ui/", http.StatusSeeOther)
		return
	case secret == "" || len(secret) > maxSecret:
		refused(http.StatusUnauthorized, "That is not an API key.")
		return
	case h.sessions.tooSoon():
		w.Header().Set("Retry-After", "1")
		refused(http.StatusTooManyRequests, "Too many attempts: try again in a second.")
		return
	}
	if _, ok := h.SignIn(secret); !ok {
		h.sessions.fail()
		refused(http.StatusUnauthorized, "This server does not know that API key.")
		return
	}
	http.SetCookie(w, h.cookie(h.sessions.begin(secret), int(sessionTime.Seconds())))
	http.Redirect(w, r, "/ui/", http.StatusSeeOther)
}

func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		h.sessions.end(cookie.Value)
	}
	http.SetCookie(w, h.cookie("", -1))
	http.Redirect(w, r, "/ui/signin", http.StatusSeeOther)
}

func (h *Handler) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/ui", MaxAge: age, HttpOnly: true, Secure: h.Secure, SameSite: http.SameSiteStrictMode}
}
