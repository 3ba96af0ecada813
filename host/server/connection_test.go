package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listen serves on a real connection.
func listen(t *testing.T, s *Server) (string, chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	return "http://" + ln.Addr().String(), served
}

func TestShutdownDrains(t *testing.T) {
	f := newFake(t)
	f.block = make(chan struct{})
	s := newServer(t, f)
	url, served := listen(t, s)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"model":"tiny","prompt":"x","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stopped := make(chan error)
	go func() { stopped <- s.Shutdown(t.Context()) }()
	for !s.queue.draining() {
		time.Sleep(time.Millisecond)
	}
	// It still answers: what is new is told to come again, and where it is balanced the load goes elsewhere.
	for path, body := range map[string]string{"/v1/completions": `{"model":"tiny","prompt":"x"}`, "/readyz": ""} {
		method := http.MethodPost
		if body == "" {
			method = http.MethodGet
		}
		request, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		again, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		again.Body.Close()
		if again.StatusCode != 503 || again.Header.Get("Retry-After") == "" {
			t.Errorf("%s while it drains: %d", path, again.StatusCode)
		}
	}
	close(f.block)
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Errorf("%v %s", err, body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsOff(t *testing.T) {
	f := newFake(t)
	f.block = make(chan struct{})
	s := newServer(t, f)
	url, served := listen(t, s)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"model":"tiny","prompt":"x","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-served
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the stream ended well: %s", body)
	}
}

// TestClientLeaves checks that the backend's work ends with the connection.
func TestClientLeaves(t *testing.T) {
	f := newFake(t)
	f.block = make(chan struct{})
	s := newServer(t, f)
	url, served := listen(t, s)
	client := &http.Client{Transport: &http.Transport{}}
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/completions", strings.NewReader(`{"model":"tiny","prompt":"x","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	client.CloseIdleConnections()
	f.mu.Lock()
	stream := f.streams[0]
	f.mu.Unlock()
	<-stream.ctx.Done()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}

func TestHugeHeader(t *testing.T) {
	s := newServer(t, newFake(t))
	url, served := listen(t, s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n")
	for i := 0; i < 100_000; i++ {
		if _, err := fmt.Fprintf(conn, "X-%d: y\r\n", i); err != nil {
			break // it has hung up
		}
	}
	head := make([]byte, 12)
	if n, _ := io.ReadFull(conn, head); n > 0 && string(head) != "HTTP/1.1 431" {
		t.Errorf("got %q", head[:n])
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}

// TestSlowBody checks that a client that does not send its body is told so, and does not keep its connection, also where nobody reads it.
func TestSlowBody(t *testing.T) {
	for path, want := range map[string]string{"/v1/completions": "HTTP/1.1 408", "/nowhere": "HTTP/1.1 404", "/v1/chat/completions": "HTTP/1.1 408"} {
		t.Run(path, func(t *testing.T) {
			s := newServer(t, newFake(t))
			s.bodyTimeout = 50 * time.Millisecond
			url, served := listen(t, s)
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{", path)
			if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), want) {
				t.Errorf("%v %q", err, answer)
			}
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			<-served
		})
	}
}

// TestReadDeadlineEnds checks that a deadline for the body does not end an answer that takes longer.
func TestReadDeadlineEnds(t *testing.T) {
	f := newFake(t)
	f.block = make(chan struct{})
	s := newServer(t, f)
	s.bodyTimeout = 50 * time.Millisecond
	url, served := listen(t, s)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	go func() {
		time.Sleep(4 * s.bodyTimeout)
		close(f.block)
	}()
	for range 2 { // the second on the same connection
		resp, err := client.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"model":"tiny","prompt":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
			t.Errorf("%v %d %s", err, resp.StatusCode, body)
		}
		resp.Body.Close()
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}
