package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a server whose answer to the n-th request is what the function writes, after the header of an event stream.
func served(t *testing.T, answer func(n int, model string, w http.ResponseWriter, event func(fingerprint, text, finish string))) Plan {
	t.Helper()
	var count atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Model  string `json:"model"`
			Prompt string `json:"prompt"`
			Tokens int    `json:"max_tokens"`
			Temp   int    `json:"temperature"`
			Stream bool   `json:"stream"`
		}
		if err := json.UnmarshalRead(r.Body, &body); err != nil || !body.Stream || body.Tokens != 3 {
			http.Error(w, "not what was asked for", http.StatusTeapot)
			return
		}
		w.Header().Set("X-Tenon-Generation", "g-"+body.Model)
		answer(int(count.Add(1))-1, body.Model, w, func(fingerprint, text, finish string) {
			reason := "null"
			if finish != "" {
				reason = `"` + finish + `"`
			}
			fmt.Fprintf(w, "data: {\"system_fingerprint\":%q,\"choices\":[{\"text\":%q,\"finish_reason\":%s}]}\n\n", fingerprint, text, reason)
			w.(http.Flusher).Flush()
		})
	}))
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		s.Close()
	})
	return Plan{URL: s.URL, Client: client, Models: []string{"a", "b"}, Prompts: []string{"x"}, Tokens: 3, Clients: 2, Requests: 10}
}

func whole(model string, w http.ResponseWriter, event func(string, string, string)) {
	event("g-"+model, "one", "")
	event("g-"+model, " two", "length")
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func TestClosedLoop(t *testing.T) {
	p := served(t, func(n int, model string, w http.ResponseWriter, event func(string, string, string)) {
		switch n {
		case 3:
			http.Error(w, "later", http.StatusTooManyRequests)
		case 4:
			event("g-"+model, "one", "") // and no end
		case 5:
			event("g-"+model, "one", "")
			event("another", "two", "length")
		case 6:
			fmt.Fprint(w, "data: {\"error\":{\"code\":\"IO_BACKEND\",\"message\":\"it died\"}}\n\n")
		default:
			whole(model, w, event)
		}
	})
	p.Check = func(a Answer) error {
		if a.Text != "one two" || a.Finish != "length" || a.Generation != "g-"+a.Model || a.Prompt != "x" {
			t.Errorf("answer %+v", a)
		}
		if a.Model == "b" {
			return errors.New("b is wrong")
		}
		return nil
	}
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, why := range []string{"status 429", "broken off", "an answer of two generations", "broken off: IO_BACKEND"} {
		if r.Failed[why] != 1 {
			t.Errorf("%d failed with %q: %v", r.Failed[why], why, r.Failed)
		}
	}
	if r.Requests != 6 || r.Answered["g-a"]+r.Answered["g-b"] != 6 || r.Chunks != 12 || r.Wrong != r.Answered["g-b"] || r.FirstWrong != "b is wrong" {
		t.Errorf("%+v", r)
	}
	if r.Cause == nil || r.FirstError != r.Cause.Error() || !strings.HasPrefix(r.FirstError, "IO_") {
		t.Errorf("the first error is %q", r.FirstError)
	}
	if r.First.P50 <= 0 || r.Whole.P50 < r.First.P50 || r.PerSecond <= 0 {
		t.Errorf("times %+v", r)
	}
}

// A server that answers one request at a time looks as slow in an open loop as it is: the time counts from when a request was due.
func TestOpenLoopCountsTheQueue(t *testing.T) {
	turn := make(chan struct{}, 1)
	p := served(t, func(_ int, model string, w http.ResponseWriter, event func(string, string, string)) {
		turn <- struct{}{}
		time.Sleep(20 * time.Millisecond)
		<-turn
		whole(model, w, event)
	})
	p.Clients, p.Rate, p.Requests, p.Seed = 0, 1000, 20, 1
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests != 20 || r.First.Max < 15*20 {
		t.Errorf("%d answered, the last after %v ms, though 19 were before it", r.Requests, r.First.Max)
	}
}

func TestEnds(t *testing.T) {
	block := make(chan struct{})
	p := served(t, func(int, string, http.ResponseWriter, func(string, string, string)) { <-block })
	defer close(block)
	p.Requests, p.Duration = 0, time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r, err := Run(ctx, p); err == nil || r.Requests != 0 || len(r.Failed) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPlans(t *testing.T) {
	good := Plan{Models: []string{"a"}, Prompts: []string{"x"}, Tokens: 1, Clients: 1, Requests: 1}
	for name, spoil := range map[string]func(*Plan){
		"no model":       func(p *Plan) { p.Models = nil },
		"no prompt":      func(p *Plan) { p.Prompts = nil },
		"no tokens":      func(p *Plan) { p.Tokens = 0 },
		"no loop":        func(p *Plan) { p.Clients = 0 },
		"two loops":      func(p *Plan) { p.Rate = 1 },
		"without an end": func(p *Plan) { p.Requests = 0 },
	} {
		p := good
		spoil(&p)
		if _, err := Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "load") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var x []float64
	for i := range 1000 {
		x = append(x, float64(999-i))
	}
	if q := quantiles(x); q != (Quantiles{499, 899, 989, 999}) {
		t.Errorf("%+v", q)
	}
	if q := quantiles([]float64{5}); q != (Quantiles{5, 5, 5, 5}) {
		t.Errorf("%+v", q)
	}
}

func TestSwaps(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Generation string `json:"generation"`
		}
		if err := json.UnmarshalRead(r.Body, &body); err != nil || r.URL.Path != "/api/v1/adapters/menu/rollback" || r.Header.Get("Authorization") != "Bearer k" {
			t.Errorf("%s %v", r.URL, err)
		}
		if asked = append(asked, body.Generation); len(asked) == 5 {
			http.Error(w, "no", http.StatusConflict)
		}
	}))
	client := &http.Client{Transport: &http.Transport{}}
	defer s.Close()
	defer client.CloseIdleConnections()
	swaps := Swaps{URL: s.URL, Key: "k", Client: client, Alias: "menu", Generations: []string{"one", "two"}, Count: 4}
	if done, err := swaps.Run(t.Context()); err != nil || done.Count != 4 || strings.Join(asked, " ") != "one two one two" {
		t.Errorf("%+v %v %v", done, err, asked)
	}
	if _, err := swaps.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("a refused swap: %v", err)
	}
}
