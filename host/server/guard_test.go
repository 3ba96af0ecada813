package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestGuards(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"plain", func(*http.Request) {}, 200},
		{"charset", func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=UTF-8") }, 200},
		{"localhost", func(r *http.Request) { r.Host = "localhost:8321" }, 200},
		{"IPv6", func(r *http.Request) { r.Host = "[::1]:8321" }, 200},
		{"IPv6 without port", func(r *http.Request) { r.Host = "[::1]" }, 200},
		{"rebound name", func(r *http.Request) { r.Host = "evil.example:8321" }, 421},
		{"rebound name that looks local", func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, 421},
		{"other origin", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"other site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"own origin", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8321") }, 200},
		{"no type", func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		{"form", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"charset of another kind", func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-16") }, 415},
		{"compressed", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8321/v1/completions", strings.NewReader(`{"model":"tiny","prompt":"x"}`))
			r.Header.Set("Content-Type", "application/json")
			c.change(r)
			w := httptest.NewRecorder()
			newServer(t, newFake(t)).Handler().ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if c.status != 200 {
				wantError(t, w, c.status, fault.UsageFlag, "", "")
			}
			for name := range w.Header() {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("header %s", name)
				}
			}
		})
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		addr, host string
		want       bool
	}{
		{"127.0.0.1:1", "a.example", false}, {"localhost:1", "a.example", false}, {"[::1]:1", "a.example", false}, {"127.0.0.1:1", "", true},
		{"0.0.0.0:1", "a.example", true}, {":1", "a.example", true}, {"gpu.example:1", "a.example", true}, {"127.0.0.1:1", "LOCALHOST", true},
	} {
		s := New(newFake(t), Options{Log: slog.New(slog.DiscardHandler), BaseName: "tiny", Addr: c.addr})
		if got := s.hostAllowed(c.host); got != c.want {
			t.Errorf("listening on %q, host %q: %v", c.addr, c.host, got)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	s := newServer(t, newFake(t))
	body := `{"model":"tiny","prompt":"` + strings.Repeat("x", maxBodyBytes) + `"}`
	wantError(t, do(t, s, "/v1/completions", body), 413, fault.UsageFlag, "", "longer than 1048576 bytes")
	wantError(t, do(t, s, "/v1/load_lora_adapter", body), 413, fault.UsageFlag, "", "longer")
}

// TestBusy fills both slots of newServer and asks once more.
func TestBusy(t *testing.T) {
	f := newFake(t)
	f.block = make(chan struct{})
	s := newServer(t, f)
	done := make(chan int)
	for range 2 {
		go func() { done <- do(t, s, "/v1/completions", `{"model":"tiny","prompt":"x"}`).Code }()
	}
	for held := 0; held < 2; {
		s.queue.mu.Lock()
		held = s.queue.held
		s.queue.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	w := do(t, s, "/v1/completions", `{"model":"tiny","prompt":"x"}`)
	wantError(t, w, 429, fault.ServerDown, "", "2 texts")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if w := do(t, s, "/livez", ""); w.Code != 200 {
		t.Errorf("livez %d", w.Code)
	}
	close(f.block)
	for range 2 {
		if code := <-done; code != 200 {
			t.Errorf("blocked request: %d", code)
		}
	}
	if w := do(t, s, "/v1/completions", `{"model":"tiny","prompt":"x"}`); w.Code != 200 {
		t.Errorf("after: %d", w.Code)
	}
}

func TestPanic(t *testing.T) {
	f := newFake(t)
	f.loading = func() { panic("boom\n\x1b[31m") }
	var log bytes.Buffer
	s := New(f, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), BaseName: "tiny", Addr: "127.0.0.1:1"})
	wantError(t, do(t, s, "/v1/load_lora_adapter", `{"lora_name":"a","lora_path":"/a"}`), 500, "", "", "internal error")
	if !strings.Contains(log.String(), `boom\n\x1b`) || strings.Contains(log.String(), "\x1b") {
		t.Errorf("log %s", log.String())
	}
	if w := do(t, s, "/livez", ""); w.Code != 200 {
		t.Errorf("after: %d", w.Code)
	}
}

func TestLogIsEscaped(t *testing.T) {
	f := newFake(t)
	f.loadErr = fault.New(fault.IONotFound, "no such\ndirectory")
	var log bytes.Buffer
	s := New(f, Options{Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), BaseName: "tiny", Addr: "127.0.0.1:1"})
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"a","lora_path":"/a\n\u202e\u001b[31m`+strings.Repeat("x", 2000)+`"}`)
	if got := log.String(); strings.Contains(got, "\u202e") || strings.Contains(got, `\u001b`) || len(got) > 3000 || strings.Count(got, "\n") != 2 {
		t.Errorf("log %s", got)
	}
}
