package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heap is what is reachable now.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// endless is a JSON body that does not end before its length.
type endless struct {
	left int64
	read atomic.Int64 // the transport may still read when the answer is there
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	for i := range p[:n] {
		p[i] = '['
	}
	e.left -= n
	e.read.Add(n)
	return int(n), nil
}

// TestHugeBody sends a gigabyte, said beforehand and not: next to nothing of it is read, or kept.
func TestHugeBody(t *testing.T) {
	s := newServer(t, newFake(t))
	url, served := listen(t, s)
	for _, chunked := range []bool{false, true} {
		transport := &http.Transport{}
		body := &endless{left: 1 << 30}
		r, err := http.NewRequest(http.MethodPost, url+"/v1/completions", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		if !chunked {
			r.ContentLength = 1 << 30
		}
		before := heap()
		resp, err := transport.RoundTrip(r)
		after := heap()
		// The connection is closed below the body: what comes is the answer, or that it was cut.
		if err == nil {
			if resp.StatusCode != 413 {
				t.Errorf("chunked %v: %d", chunked, resp.StatusCode)
			}
			resp.Body.Close()
		}
		if taken := body.read.Load(); taken > 16<<20 {
			t.Errorf("chunked %v: %d bytes were taken", chunked, taken)
		}
		if after > before+8<<20 {
			t.Errorf("chunked %v: the heap grew from %d to %d", chunked, before, after)
		}
		transport.CloseIdleConnections()
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}

// TestBodiesTogether: many bodies that are each short enough do not fill the memory together, and nothing stays counted.
func TestBodiesTogether(t *testing.T) {
	s := newServer(t, newFake(t))
	s.bodies.Store(maxBodies - 1000)
	w := do(t, s, "/api/v1/adapters/x", `{"ref":"`+strings.Repeat("x", 5000)+`"}`)
	if w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := s.bodies.Load(); got != maxBodies-1000 {
		t.Errorf("%d bytes stay counted", got-(maxBodies-1000))
	}
	s.bodies.Store(0)
	for _, body := range []string{`{"ref":"/a"}`, `{"ref":`, `[` + strings.Repeat("1,", maxBodyBytes)} {
		do(t, s, "/api/v1/adapters/x", body)
		if got := s.bodies.Load(); got != 0 {
			t.Errorf("%d bytes stay counted after %.20q", got, body)
		}
	}
}

// TestFlood asks for ten thousand loads at once, of an engine that is slow: a few go through, the rest get 429 at once, and nothing piles up.
func TestFlood(t *testing.T) {
	f := newFake(t)
	gate := make(chan struct{})
	var inside, most atomic.Int64
	f.loading = func() {
		now := inside.Add(1)
		for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
		}
		<-gate
		inside.Add(-1)
	}
	k := newKeys(t, "a - load")
	s := newKeyed(f, k, slog.New(slog.DiscardHandler))
	(*k.keys.Load())[0].requests = 1 << 20 // the server's bound is what is tested
	body := `{"ref":"/` + strings.Repeat("x", 4000) + `"}`
	var slow sync.WaitGroup
	var codes sync.Map
	ask := func() int {
		r, _ := http.NewRequest(http.MethodPost, "http://127.0.0.1:8321/api/v1/adapters/x", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+k.secrets["a"])
		w := &codeWriter{header: http.Header{}}
		s.Handler().ServeHTTP(w, r)
		return w.code
	}
	for i := range maxLoads {
		slow.Go(func() { codes.Store(i, ask()) })
	}
	for inside.Load() < maxLoads {
		time.Sleep(time.Millisecond)
	}
	before, routines := heap(), runtime.NumGoroutine()
	for range 10_000 {
		if code := ask(); code != 429 {
			t.Fatalf("got %d", code)
		}
	}
	after := heap()
	close(gate)
	slow.Wait()
	if after > before+4<<20 || runtime.NumGoroutine() > routines {
		t.Errorf("the heap grew from %d to %d, goroutines from %d to %d", before, after, routines, runtime.NumGoroutine())
	}
	for i := range maxLoads {
		if code, _ := codes.Load(i); code != 200 {
			t.Errorf("load %d: %v", i, code)
		}
	}
	if most.Load() != maxLoads {
		t.Errorf("%d loads at once", most.Load())
	}
	if code := ask(); code != 200 {
		t.Errorf("afterwards: %d", code)
	}
}

// codeWriter keeps of an answer only its status.
type codeWriter struct {
	header http.Header
	code   int
}

func (w *codeWriter) Header() http.Header         { return w.header }
func (w *codeWriter) WriteHeader(code int)        { w.code = code }
func (w *codeWriter) Write(p []byte) (int, error) { return len(p), nil }

// TestMillionHeaders sends header lines until the server hangs up: long before the last one.
func TestMillionHeaders(t *testing.T) {
	s := newServer(t, newFake(t))
	url, served := listen(t, s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := heap()
	fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n")
	lines := 0
	for ; lines < 1_000_000; lines++ {
		if _, err := fmt.Fprintf(conn, "X-%d: y\r\n", lines); err != nil {
			break
		}
	}
	if lines == 1_000_000 {
		t.Error("the server took all of them")
	}
	if after := heap(); after > before+4<<20 {
		t.Errorf("the heap grew from %d to %d", before, after)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}

// TestKeysBound: one key's requests do not use up what others may.
func TestKeysBound(t *testing.T) {
	k := newKeys(t, "a acme read", "b bolt read")
	f := newFake(t)
	f.block = make(chan struct{})
	s := newKeyed(f, k, slog.New(slog.DiscardHandler))
	done := make(chan int)
	for range 2 {
		go func() {
			done <- as(t, s, k.secrets["a"], "POST", "/v1/completions", `{"model":"tiny","prompt":"x"}`).Code
		}()
	}
	a, _ := k.Authenticate(k.secrets["a"])
	for a.key.inFlight.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	w := as(t, s, k.secrets["a"], "GET", "/v1/models", "")
	if w.Code != 429 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "API key") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := as(t, s, k.secrets["b"], "GET", "/v1/models", ""); w.Code != 200 {
		t.Errorf("another key: %d", w.Code)
	}
	close(f.block)
	for range 2 {
		if code := <-done; code != 200 {
			t.Errorf("%d", code)
		}
	}
	if a.key.inFlight.Load() != 0 {
		t.Error("requests stay counted")
	}
}
