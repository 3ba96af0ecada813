package ui

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/server"
)

const (
	cookieName    = "tenon_session"
	sessionTime   = 12 * time.Hour
	maxKeySession = 16 // sessions of one key
	maxSecret     = 512
)

// sessions remembers in memory which browser showed which key. The key itself is asked again at each request, so one that was revoked ends
// its sessions.
type sessions struct {
	mu   sync.Mutex
	open map[string]session
}

type session struct {
	secret string
	until  time.Time
}

func newSessions() *sessions { return &sessions{open: map[string]session{}} }

// begin gives a new session's token. When its key has too many, the one of them that ends first makes room; other keys' are left alone.
func (s *sessions) begin(secret string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	oldest, same := "", 0
	for token, one := range s.open {
		if now.After(one.until) {
			delete(s.open, token)
			continue
		}
		if one.secret != secret {
			continue
		}
		same++
		if oldest == "" || one.until.Before(s.open[oldest].until) {
			oldest = token
		}
	}
	if same >= maxKeySession {
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

// Who implements server.Dashboard. The session of a key that is no longer good ends.
func (h *Handler) Who(r *http.Request) (server.Principal, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil || h.SignIn == nil {
		return server.Principal{}, false
	}
	secret, ok := h.sessions.secret(cookie.Value)
	if !ok {
		return server.Principal{}, false
	}
	who, ok := h.SignIn(secret)
	if !ok {
		h.sessions.end(cookie.Value)
	}
	return who, ok
}

func (h *Handler) showSignIn(w http.ResponseWriter, r *http.Request) {
	if server.PrincipalOf(r.Context()).Name != "" {
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
	}
	// A key that is right is never too soon: nobody else's attempts keep its owner out.
	if _, ok := h.SignIn(secret); !ok {
		if h.failures.tooSoon(server.ClientOf(r), time.Now()) {
			w.Header().Set("Retry-After", "1")
			refused(http.StatusTooManyRequests, "Too many attempts: try again in a second.")
			return
		}
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
