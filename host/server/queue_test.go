package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestQueue(t *testing.T) {
	traffic := newTraffic()
	q := newQueue(4, 2, traffic)
	enter := func(alias string, texts int) (func(), int) {
		t.Helper()
		leave, err := q.enter(alias, texts)
		if err == nil {
			return leave, 0
		}
		return nil, toAPI(err).status
	}
	a, _ := enter("a", 2)
	if _, status := enter("a", 1); status != 429 {
		t.Errorf("a third text of one model: %d", status)
	}
	if _, status := enter("b", 3); status != 400 {
		t.Errorf("more than ever fits: %d", status)
	}
	b, _ := enter("b", 2)
	if _, status := enter("c", 1); status != 429 {
		t.Errorf("a fifth text: %d", status)
	}
	a()
	c, status := enter("c", 1)
	if status != 0 {
		t.Errorf("after one left: %d", status)
	}
	ended := make(chan error)
	go func() { ended <- q.drain(t.Context()) }()
	for !q.draining() {
		time.Sleep(time.Millisecond)
	}
	if _, status := enter("a", 1); status != 503 {
		t.Errorf("while it drains: %d", status)
	}
	b()
	c()
	if err := <-ended; err != nil || len(q.aliases) != 0 {
		t.Errorf("%v, left %v", err, q.aliases)
	}
	if err := q.drain(t.Context()); err != nil {
		t.Error(err)
	}
	q = newQueue(1, 0, traffic)
	if _, err := q.enter("", 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestRetryAfter estimates: texts took 8 seconds, two run, ten wait, so one has room after all that wait have had their turn.
func TestRetryAfter(t *testing.T) {
	traffic := newTraffic()
	q := newQueue(12, 0, traffic)
	q.mean, q.held = 8, 12
	admitted, leave := traffic.enter("", 2)
	defer leave()
	admitted()
	_, err := q.enter("", 1)
	if e := toAPI(err); e.status != 429 || e.after != 40 {
		t.Errorf("%v, Retry-After %d", err, e.after)
	}
	q.mean = 1e9
	if _, err := q.enter("", 1); toAPI(err).after != 60 {
		t.Errorf("Retry-After %d", toAPI(err).after)
	}
}

func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		name, header, body string
		timeout            time.Duration
		status             int
	}{
		{"server's", "", `{"model":"tiny","prompt":"x"}`, 20 * time.Millisecond, 504},
		{"client's", "0.02", `{"model":"tiny","prompt":"x"}`, time.Hour, 504},
		{"in a stream", "0.02", `{"model":"tiny","prompt":"x","stream":true}`, 0, 200},
		{"no number", "soon", `{"model":"tiny","prompt":"x"}`, 0, 400},
		{"NaN", "NaN", `{"model":"tiny","prompt":"x"}`, 0, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.block = make(chan struct{})
			s := newServer(t, f)
			s.requestTimeout = c.timeout
			r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8321/v1/completions", strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			if c.header != "" {
				r.Header.Set("Timeout", c.header)
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code != c.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if c.status != 400 && !strings.Contains(w.Body.String(), `"message":"the request took longer than it may"`) ||
				c.status != 400 && !strings.Contains(w.Body.String(), strconv.Quote(string(fault.Canceled))) {
				t.Errorf("%s", w.Body)
			}
			if c.status != 400 && f.streams[0].ctx.Err() == nil {
				t.Error("the backend goes on")
			}
			if s.queue.held != 0 {
				t.Errorf("%d texts are held", s.queue.held)
			}
		})
	}
}
