package scenario

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// zeros is a body of as many bytes.
type zeros int64

// Read implements io.Reader.
func (z *zeros) Read(p []byte) (int, error) {
	if *z <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), int64(*z))
	clear(p[:n])
	*z -= zeros(n)
	return int(n), nil
}

// Thousands of requests at once, of loads that are refused, texts and lists, bodies of a gigabyte, headers without end, and connections that say
// nothing: each is answered or turned away, the memory stays flat, and afterwards everything answers as before.
func TestFlood(t *testing.T) {
	s := quick(t, t.TempDir(), "--max-requests", "4")
	s.load("menu", first)
	generation, text := s.text("menu", prompts[0])
	nowhere := t.TempDir()
	flood := func(count int) (refused int64) {
		var answers [600]atomic.Int64
		var next atomic.Int64
		var clients sync.WaitGroup
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		defer client.CloseIdleConnections()
		for range 64 {
			clients.Go(func() {
				for n := next.Add(1); n <= int64(count); n = next.Add(1) {
					method, path, body := http.MethodPost, "/v1/load_lora_adapter", `{"lora_name":"menu","lora_path":"`+nowhere+`"}`
					switch n % 4 {
					case 1:
						path, body = "/v1/completions", `{"model":"menu","prompt":"x","max_tokens":8}`
					case 2:
						method, path, body = http.MethodGet, "/api/v1/adapters", ""
					case 3:
						path, body = "/v1/completions", `{"model":`+strings.Repeat("[", 1000)
					}
					request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					request.Header.Set("Content-Type", "application/json")
					response, err := client.Do(request)
					if err != nil {
						t.Errorf("%s: %v", path, err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
					if response.StatusCode == http.StatusTooManyRequests && response.Header.Get("Retry-After") == "" {
						t.Errorf("%s: 429 does not say when to come again", path)
					}
					answers[min(response.StatusCode, 599)].Add(1)
				}
			})
		}
		clients.Wait()
		told := map[int]int64{}
		for code := range answers {
			if n := answers[code].Load(); n > 0 {
				told[code] = n
				if code != 200 && code != 400 && code != 404 && code != 422 && code != 429 {
					t.Errorf("%d requests were answered %d", n, code)
				}
			}
		}
		t.Logf("%d requests: %v", count, told)
		return told[http.StatusTooManyRequests]
	}
	flood(400) // caches and pools fill
	before := s.gauges()
	if flood(times(t, "TENON_FLOOD", 4000)) == 0 {
		t.Error("nothing was turned away: it was no flood")
	}

	for _, length := range []int64{1 << 30, -1} {
		body := zeros(1 << 30)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/completions", &body)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		request.Header.Set("Content-Type", "application/json")
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("a gigabyte is answered %d", response.StatusCode)
			}
		}
		if taken := 1<<30 - int64(body); taken > 64<<20 {
			t.Errorf("%d bytes of a gigabyte were taken", taken)
		}
	}
	lines := endlessHeader(t, s)
	if lines >= 1_000_000 {
		t.Error("a million header lines were taken")
	}
	for range 200 { // they say nothing, and hold nothing up
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n")
	}
	if by, again := s.text("menu", prompts[0]); by != generation || again != text {
		t.Errorf("afterwards it answers as %s: %q", by, again)
	}
	after := s.gauges()
	const memory = "process_resident_memory_bytes"
	t.Logf("%s %.0f, before %.0f; %d header lines", memory, after[memory], before[memory], lines)
	if after[memory] > before[memory]+64<<20 || after[memory] == 0 {
		t.Errorf("%s grew from %.0f to %.0f", memory, before[memory], after[memory])
	}
	if _, backend := s.adapters(); backend.Restarts != 0 {
		t.Errorf("the backend was restarted %d times", backend.Restarts)
	}
	s.kill()
}

// endlessHeader sends header lines until the server hangs up, and counts them.
func endlessHeader(t *testing.T, s *server) (lines int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n")
	block := bytes.Repeat([]byte("X-Header: y\r\n"), 100)
	for ; lines < 1_000_000; lines += 100 {
		if _, err := conn.Write(block); err != nil {
			break
		}
	}
	return lines
}

// A client that leaves gives its place back: a thousand that do so leave room for the next one.
func TestClientsThatLeave(t *testing.T) {
	s := quick(t, t.TempDir())
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
				_, _, _ = s.call(ctx, http.MethodPost, "/v1/completions", map[string]any{"model": "base", "prompt": "x", "max_tokens": 400})
				cancel()
			}
		})
	}
	clients.Wait()
	idle := false
	for range 600 {
		if _, backend := s.adapters(); backend.Running+backend.Waiting == 0 {
			idle = true
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !idle {
		_, backend := s.adapters()
		t.Errorf("texts nobody waits for are written: %+v", backend)
	}
	s.text("base", prompts[0])
	s.stop()
}
