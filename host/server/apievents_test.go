package server

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// subscription is a client of the feed.
type subscription struct {
	cancel context.CancelFunc
	resp   *http.Response
	lines  *bufio.Scanner
}

func subscribe(t *testing.T, url, secret string, header http.Header) *subscription {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != eventType {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	return &subscription{cancel, resp, bufio.NewScanner(resp.Body)}
}

func (s *subscription) close() {
	s.cancel()
	s.resp.Body.Close()
}

// next is the next event: "id event alias actor".
func (s *subscription) next(t *testing.T) string {
	t.Helper()
	var id, kind string
	for s.lines.Scan() {
		line := s.lines.Text()
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			var e Event
			decode(t, value, &e)
			if fmt.Sprint(e.ID) != id || string(e.Kind) != kind {
				t.Fatalf("event %s %s holds %s", id, kind, value)
			}
			return strings.TrimSpace(strings.Join([]string{id, kind, e.Alias, e.Actor}, " "))
		}
	}
	return "end"
}

// TestEvents: what was missed comes again by ID, what comes now comes, and each tenant gets what is his and what is everybody's.
func TestEvents(t *testing.T) {
	for _, c := range []struct {
		key, path, last string
		old, fresh      []string
	}{
		{"acme", "", "", nil, []string{"live x anna", "live shared", "backend"}},
		{"acme", "", "1", []string{"3 live shared", "5 backend"}, []string{"live x anna", "live shared", "backend"}},
		{"op", "", "0", []string{"3 live shared olga", "5 backend"}, []string{"live shared olga", "backend"}},
		{"admin", "?after=2", "", []string{"3 live shared olga", "4 freed", "5 backend"},
			[]string{"live acme/x anna", "live bolt/x bob", "live shared olga", "freed", "backend"}},
		{"admin", "?after=2", "4", []string{"5 backend"}, []string{"live acme/x anna"}},
	} {
		t.Run(c.key+c.path+c.last, func(t *testing.T) {
			k := newKeys(t, "acme acme read", "op - read", "admin - admin")
			f := newFake(t)
			s := newKeyed(f, k, slog.New(slog.DiscardHandler))
			url, served := listen(t, s)
			publish := func() {
				f.feed.Publish(Event{Kind: KindLive, Alias: "acme/x", Actor: "anna"})
				f.feed.Publish(Event{Kind: KindLive, Alias: "bolt/x", Actor: "bob"})
				f.feed.Publish(Event{Kind: KindLive, Alias: "shared", Actor: "olga"})
				f.feed.Publish(Event{Kind: KindFreed, Generation: "sha256:ab"})
				f.feed.Publish(Event{Kind: KindBackend, Message: "ready"})
			}
			publish()
			header := http.Header{}
			if c.last != "" {
				header.Set("Last-Event-ID", c.last)
			}
			feed := subscribe(t, url+"/api/v1/events"+c.path, k.secrets[c.key], header)
			for _, want := range c.old {
				if got := feed.next(t); got != want {
					t.Errorf("old: %q, want %q", got, want)
				}
			}
			publish()
			for _, want := range c.fresh {
				if _, got, _ := strings.Cut(feed.next(t), " "); got != want {
					t.Errorf("new: %q, want %q", got, want)
				}
			}
			feed.close()
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			<-served
		})
	}
	s := newServer(t, newFake(t))
	for _, bad := range []string{"-1", "x", "1.5", "99999999999999999999"} {
		wantError(t, do(t, s, "/api/v1/events?after="+bad, ""), 400, fault.UsageFlag, "after", "not the ID")
	}
}

// TestFeedEnds: a feed where nothing happens sends comments, ends with its key, and does not hold up a server that stops.
func TestFeedEnds(t *testing.T) {
	k := newKeys(t, "a - read", "b - read")
	s := newKeyed(newFake(t), k, slog.New(slog.DiscardHandler))
	s.heartbeat = 10 * time.Millisecond
	url, served := listen(t, s)
	a, b := subscribe(t, url+"/api/v1/events", k.secrets["a"], nil), subscribe(t, url+"/api/v1/events", k.secrets["b"], nil)
	defer a.close()
	defer b.close()
	var comments []string
	for len(comments) < 5 && a.lines.Scan() {
		comments = append(comments, a.lines.Text())
	}
	if want := []string{": events follow", "", ": ", "", ": "}; !slices.Equal(comments, want) {
		t.Errorf("got %q", comments)
	}
	k.write(t, "b - read")
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := a.next(t); got != "end" {
		t.Errorf("after its key was taken away: %s", got)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := b.next(t); got != "end" {
		t.Errorf("after the shutdown: %s", got)
	}
	<-served
}

// TestSlowListener: a client that does not read is cut off, and holds up nobody meanwhile.
func TestSlowListener(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f)
	s.writeTimeout = 50 * time.Millisecond
	url, served := listen(t, s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for len(s.feeds) == 0 {
		time.Sleep(time.Millisecond)
	}
	message := strings.Repeat("x", 64<<10)
	for deadline := time.Now().Add(30 * time.Second); len(s.feeds) > 0; {
		f.feed.Publish(Event{Kind: KindProgress, Message: message})
		if time.Now().After(deadline) {
			t.Fatal("it is not cut off")
		}
		time.Sleep(time.Millisecond)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
}
