package server

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// board is a Dashboard of two functions.
type board struct {
	who    func(*http.Request) (Principal, bool)
	answer http.HandlerFunc
}

var _ Dashboard = board{}

func (b board) Who(r *http.Request) (Principal, bool)            { return b.who(r) }
func (b board) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.answer(w, r) }

func nobody(*http.Request) (Principal, bool) { return Principal{}, false }

// cookied is a server whose dashboard takes the secret in a cookie for a session.
func cookied(f *fake, k *keyring, answer http.HandlerFunc) *Server {
	return New(f, Options{Log: slog.New(slog.DiscardHandler), BaseName: "tiny", Addr: "127.0.0.1:8321", Keys: k.Keys, UI: func(Front) Dashboard {
		return board{func(r *http.Request) (Principal, bool) {
			cookie, err := r.Cookie("secret")
			if err != nil {
				return Principal{}, false
			}
			return k.Authenticate(cookie.Value)
		}, answer}
	}})
}

// TestHalfSentForms: forms that strangers send slowly take no room of anybody's, neither of the API's nor of other strangers'.
func TestHalfSentForms(t *testing.T) {
	k := newKeys(t, "a - admin")
	asked := make(chan string, 1)
	s := cookied(newFake(t), k, func(w http.ResponseWriter, r *http.Request) { asked <- r.PostFormValue("key") })
	url, served := listen(t, s)
	for range maxReads {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /ui/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nk")
	}
	if w := as(t, s, k.secrets["a"], "GET", "/v1/models", ""); w.Code != 200 {
		t.Errorf("the operator gets %d", w.Code)
	}
	if n := len(s.reads); n != 0 {
		t.Errorf("%d slots are taken", n)
	}
	client := &http.Client{Transport: &http.Transport{}}
	answer, err := client.Post(url+"/ui/signin", "application/x-www-form-urlencoded", strings.NewReader("key=x"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 || <-asked != "x" {
		t.Errorf("a stranger gets %d", answer.StatusCode)
	}
	client.CloseIdleConnections()
	s.http.Close()
	<-served
}

// TestStrangers: requests without a key are few at once, of one client and of all, and a key is not counted among them.
func TestStrangers(t *testing.T) {
	k := newKeys(t, "a - admin")
	in, out := make(chan struct{}), make(chan struct{})
	s := cookied(newFake(t), k, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ui/wait" {
			in <- struct{}{}
			<-out
		}
	})
	ask := func(path, client, secret string) int {
		r := httptest.NewRequest("GET", "http://127.0.0.1:8321"+path, nil)
		r.RemoteAddr = client
		if secret != "" {
			r.AddCookie(&http.Cookie{Name: "secret", Value: secret})
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code
	}
	done := make(chan int)
	for i := range maxStrangers {
		go func() { done <- ask("/ui/wait", fmt.Sprintf("[2001:db8:0:%x::%x]:1", i/maxStrange, i+1), "") }()
		<-in
		if i+1 == maxStrange {
			if code := ask("/ui/", "[2001:db8::ffff]:1", ""); code != 429 {
				t.Errorf("one more of a full client: %d", code)
			}
			if code := ask("/ui/", "192.0.2.1:1", ""); code != 200 {
				t.Errorf("another client: %d", code)
			}
		}
	}
	if code := ask("/ui/", "192.0.2.1:1", ""); code != 429 {
		t.Errorf("one more of all: %d", code)
	}
	if code := ask("/ui/", "192.0.2.1:1", k.secrets["a"]); code != 200 {
		t.Errorf("a key: %d", code)
	}
	close(out)
	for range maxStrangers {
		<-done
	}
	if s.strangers.held != 0 || len(s.strangers.clients) != 0 {
		t.Errorf("%d stay counted", s.strangers.held)
	}
}

// TestDashboardCounts: who has signed in is counted as his key is, and in the slots of what he asks for.
func TestDashboardCounts(t *testing.T) {
	k := newKeys(t, "a - admin")
	var s *Server
	var held [3]int
	var key int64
	s = cookied(newFake(t), k, func(w http.ResponseWriter, r *http.Request) {
		held = [3]int{len(s.reads), len(s.loads), len(s.feeds)}
		key = PrincipalOf(r.Context()).key.inFlight.Load()
	})
	for _, c := range []struct {
		method, path string
		held         [3]int
	}{{"GET", "/ui/", [3]int{1, 0, 0}}, {"POST", "/ui/load", [3]int{0, 1, 0}}, {"GET", "/ui/events", [3]int{0, 0, 1}}, {"POST", "/ui/complete", [3]int{}}} {
		r := httptest.NewRequest(c.method, "http://127.0.0.1:8321"+c.path, nil)
		r.AddCookie(&http.Cookie{Name: "secret", Value: k.secrets["a"]})
		s.Handler().ServeHTTP(httptest.NewRecorder(), r)
		if held != c.held || key != 1 {
			t.Errorf("%s: %v, %d of the key", c.path, held, key)
		}
	}
	(*k.keys.Load())[0].inFlight.Store(2) // newKeys allows two
	r := httptest.NewRequest("GET", "http://127.0.0.1:8321/ui/", nil)
	r.AddCookie(&http.Cookie{Name: "secret", Value: k.secrets["a"]})
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != 429 {
		t.Errorf("beyond the key's bound: %d", w.Code)
	}
}

// TestFormBounds: a form that is too long, or does not come, is refused.
func TestFormBounds(t *testing.T) {
	k := newKeys(t, "a - admin")
	s := cookied(newFake(t), k, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	s.bodyTimeout = 50 * time.Millisecond
	url, served := listen(t, s)
	for body, want := range map[string]string{
		"Content-Length: 5000\r\n\r\nk": "HTTP/1.1 413",
		"Content-Length: 50\r\n\r\nk":   "HTTP/1.1 408",
		"Transfer-Encoding: chunked\r\n\r\n1388\r\nk=" + strings.Repeat("x", 4998) + "\r\n0\r\n\r\n": "HTTP/1.1 413",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /ui/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n%s", body)
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("%.40q: %q %v", body, line, err)
		}
		conn.Close()
	}
	s.http.Close()
	<-served
	if got := s.bodies.Load(); got != 0 {
		t.Errorf("%d bytes stay counted", got)
	}
}

// TestMessagesAreVisible: what is foreign in a message cannot turn the reading direction of whoever shows it.
func TestMessagesAreVisible(t *testing.T) {
	f := newFake(t)
	f.loadErr = fault.New(fault.IOFileType, "/a/\u202egnp.x is no adapter")
	w := do(t, newServer(t, f), "/api/v1/adapters/x", `{"ref":"/a/\u202egnp.x"}`)
	if w.Code != 422 || strings.Contains(w.Body.String(), "\u202e") || !strings.Contains(w.Body.String(), `\\u202egnp.x is no`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := visible("one\u202e\ntwo\x1b"); got != "one\\u202e\ntwo\\x1b" {
		t.Errorf("%q", got)
	}
}
