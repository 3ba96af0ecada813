package ui

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// slow is a fake whose texts wait until they may begin.
type slow struct {
	*fake
	began chan struct{}
	hold  chan struct{}
}

func (s *slow) Generate(ctx context.Context, request *backendpb.GenerateRequest) (server.Stream, error) {
	s.began <- struct{}{}
	select {
	case <-s.hold:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.fake.Generate(ctx, request)
}

// TestCompleteWithinBounds: an answer of the dashboard's takes its place among the completions, and its time.
func TestCompleteWithinBounds(t *testing.T) {
	keys, _, secrets := keyring(t)
	engine := &slow{newFake(t), make(chan struct{}, 100), make(chan struct{})}
	s := front(engine, keys, server.Options{MaxRequests: 2, MaxPerModel: 1})
	h := httptest.NewServer(s.Handler())
	defer h.Close()
	client := visit(t)
	post(t, client, h.URL+"/ui/signin", "key", secrets["ops"])
	ask := func(choice string) (int, http.Header) {
		code, _, header := post(t, client, h.URL+"/ui/complete", "choice", choice, "prompt", "hello", "tokens", "4")
		return code, header
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		if code, _ := ask("menu"); code != 200 {
			t.Errorf("the first is answered with %d", code)
		}
	})
	<-engine.began
	if code, header := ask("menu"); code != 429 || header.Get("Retry-After") == "" {
		t.Errorf("one more of the model: %d", code)
	}
	asking.Go(func() {
		if code, _ := ask("generation " + digest("b")); code != 200 {
			t.Errorf("the second is answered with %d", code)
		}
	})
	<-engine.began
	if code, _ := ask(""); code != 429 {
		t.Errorf("one more of all: %d", code)
	}
	// The server waits for them when it stops, and begins no other.
	stopped := make(chan error)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	for code := 0; code != http.StatusServiceUnavailable; {
		select {
		case err := <-stopped:
			t.Fatalf("it did not wait: %v", err)
		default:
			code, _ = ask("")
		}
	}
	close(engine.hold)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	asking.Wait()
}

func TestCompleteInTime(t *testing.T) {
	engine := &slow{newFake(t), make(chan struct{}, 1), make(chan struct{})}
	h := httptest.NewServer(front(engine, nil, server.Options{RequestTimeout: time.Millisecond}).Handler())
	defer h.Close()
	if code, _, _ := post(t, visit(t), h.URL+"/ui/complete", "choice", "", "prompt", "hello", "tokens", "4"); code != http.StatusGatewayTimeout {
		t.Errorf("after its time it is answered with %d", code)
	}
}

// TestEventsEnd: an open page does not keep the server from stopping.
func TestEventsEnd(t *testing.T) {
	s := front(newFake(t), nil, server.Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(ln) }()
	answer, err := http.Get("http://" + ln.Addr().String() + "/ui/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestSessionsOfOneKey: whoever signs in again and again logs himself out, and nobody else.
func TestSessionsOfOneKey(t *testing.T) {
	s := newSessions()
	ops, first := s.begin("ops"), s.begin("reader")
	for range 2000 {
		s.begin("reader")
	}
	if _, ok := s.secret(ops); !ok {
		t.Error("another key's session is gone")
	}
	if _, ok := s.secret(first); ok || len(s.open) != maxKeySession+1 {
		t.Errorf("%d sessions are open", len(s.open))
	}
}

// TestWrongKeys: only those who fail wait, each for himself, and a right key is never too soon.
func TestWrongKeys(t *testing.T) {
	f, now := newFailures(), time.Now()
	for _, c := range []struct {
		client string
		after  time.Duration
		soon   bool
	}{{"a", 0, false}, {"a", 1, true}, {"b", 1, false}, {"a", failEvery, false}, {"a", failEvery + 1, true}} {
		if got := f.tooSoon(c.client, now.Add(c.after)); got != c.soon {
			t.Errorf("%s after %v: %v", c.client, c.after, got)
		}
	}
	for i := range 2 * maxFailures {
		f.tooSoon(strings.Repeat("x", i), now)
	}
	if len(f.last) > maxFailures || f.tooSoon("late", now.Add(time.Hour)) || len(f.last) != 1 {
		t.Errorf("%d are remembered", len(f.last))
	}
	keys, _, secrets := keyring(t)
	at, client := site(t, newFake(t), keys)
	for range 3 {
		post(t, client, at+"/ui/signin", "key", "tenon_wrong")
	}
	if code, body, _ := post(t, client, at+"/ui/signin", "key", secrets["ops"]); code != 200 || !strings.Contains(body, "Sign out") {
		t.Errorf("the right key is answered with %d", code)
	}
}
