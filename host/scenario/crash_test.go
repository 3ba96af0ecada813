package scenario

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/tenon-ml/tenon/host" // defines the crash points of activation
	"github.com/tenon-ml/tenon/host/loadtest"
	"github.com/tenon-ml/tenon/internal/crashpoint"
)

func contextWithCancel(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

// both finds the generations and texts of two adapters under one alias, and leaves the first one live.
func both(t *testing.T, data string) (old, fresh string, texts map[string]string) {
	t.Helper()
	s := start(t, data, nil)
	if s == nil {
		t.Fatal("the server did not start")
	}
	s.ready()
	texts = map[string]string{}
	s.load("menu", first)
	s.load("other", second)
	for _, alias := range []string{"menu", "other"} {
		generation, text := s.text(alias, prompts[0])
		texts[generation] = text
		if alias == "menu" {
			old = generation
		} else {
			fresh = generation
		}
	}
	s.stop()
	return old, fresh, texts
}

// The host is killed at every point of a load, a rollback and an unload that writes, switches or answers: after a restart the alias means the
// old generation or the new one, its text is that one's, what was acknowledged is there, and the audit verifies.
func TestKilledAtEachPoint(t *testing.T) {
	data, whole := t.TempDir(), t
	policy := []string{"--policy", policyFile(t, nothingApplied)}
	s := quick(t, data)
	s.load("other", second)
	s.load("menu", second)
	before, _ := s.text("menu", prompts[0])
	s.load("menu", first)
	for i, point := range crashpoint.Names() {
		if strings.HasPrefix(point, "registry.repair.") {
			continue // no part of serving: package registry kills its repairs
		}
		t.Run(point, func(t *testing.T) {
			s.TB = t
			old, oldText := s.text("menu", prompts[0])
			other := s.generations()["other"]
			s.stop()
			fresh := scaled(t, strconv.Itoa(40+i)) // not in the store yet
			change := func(s *server) (code int, err error) {
				switch {
				case strings.HasPrefix(point, "rollback."):
					return s.rollback("menu", before)
				case strings.HasPrefix(point, "unload."):
					code, _, err = s.unload("menu")
					return code, err
				}
				code, _, err = s.tryLoad("menu", fresh)
				return code, err
			}
			acknowledged := false
			if killed := start(t, data, []string{crashpoint.Variable + "=" + point}, policy...); killed != nil { // else a start passes this point
				killed.readyOrEnded()
				code, err := change(killed)
				acknowledged = err == nil && code == http.StatusOK
				select {
				case <-killed.ended:
				case <-time.After(10 * time.Second):
					t.Errorf("this point was not reached: %d %v", code, err)
					killed.kill()
				}
			}
			s = quick(whole, data) // it outlives this point
			s.TB = t
			live := s.generations()["menu"]
			audit(t, data)
			if now := s.generations()["other"]; now != other {
				t.Errorf("the other alias means %s, it meant %s", now, other)
			}
			if live == "" && !strings.HasPrefix(point, "unload.") || acknowledged && live == old {
				t.Errorf("live is %q, it was %q, and the change was acknowledged: %t", live, old, acknowledged)
			}
			if live == old {
				if by, text := s.text("menu", prompts[0]); by != old || text != oldText {
					t.Errorf("the old generation %s answers as %s: %q", old, by, text)
				}
			} else if live != "" {
				by, text := s.text("menu", prompts[0])
				if strings.HasPrefix(point, "rollback.") {
					s.load("probe", second)
				} else {
					s.load("probe", fresh)
				}
				if want, wanted := s.text("probe", prompts[0]); by != live || live != want || text != wanted {
					t.Errorf("live is %s, which answers as %s: %q; the new generation is %s: %q", live, by, text, want, wanted)
				}
			}
			s.load("menu", second) // for the next one: live is the first adapter, and the second was
			s.load("menu", first)
			s.TB = whole
		})
	}
	s.stop()
}

// readyOrEnded waits as ready does, for a server that may end before.
func (s *server) readyOrEnded() {
	for range 600 {
		if code, _, err := s.call(context.Background(), http.MethodGet, "/readyz", nil); err == nil && code == http.StatusOK {
			return
		}
		select {
		case <-s.ended:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// The host is killed at random while clients stream and an operator swaps: what was acknowledged last is live after the restart, or what was
// asked for after it; never half of one.
func TestKilledAtRandom(t *testing.T) {
	data := t.TempDir()
	old, fresh, texts := both(t, data)
	s := start(t, data, nil)
	s.ready()
	s.load("menu", second)
	s.load("menu", first)
	s.stop()
	random := rand.New(rand.NewPCG(1, 2))
	kills := times(t, "TENON_KILLS", 6)
	last, asked := old, old
	for n := range kills {
		s := start(t, data, nil)
		if s == nil {
			t.Fatalf("the server did not start again after %d kills", n)
		}
		s.ready()
		live := s.generations()["menu"]
		if live != last && live != asked {
			t.Fatalf("after kill %d %s is live; acknowledged was %s, asked for %s", n, live, last, asked)
		}
		if by, text := s.text("menu", prompts[0]); by != live || text != texts[live] {
			t.Fatalf("generation %s answers as %s: %q", live, by, text)
		}
		last = live
		if n%25 == 0 {
			t.Logf("%d kills", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		busy.Go(func() {
			_, _ = loadtest.Run(ctx, loadtest.Plan{URL: s.url, Models: []string{"menu"}, Prompts: prompts, Tokens: 8, Clients: 4, Duration: time.Hour})
		})
		busy.Go(func() {
			for next := range 1 << 30 {
				wanted := []string{fresh, old}[next%2]
				asked = wanted
				if code, err := s.rollback("menu", wanted); err != nil || code != http.StatusOK {
					return
				}
				last = wanted
			}
		})
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		s.kill()
		cancel()
		busy.Wait()
	}
	audit(t, data)
	t.Logf("%d kills", kills)
}

// The backend is killed while clients stream: requests fail by name or are answered rightly, and the successor means what the last one did.
func TestBackendKilled(t *testing.T) {
	data := t.TempDir()
	s := start(t, data, nil)
	s.ready()
	s.load("menu", first)
	generation, text := s.text("menu", prompts[0])
	for n := range times(t, "TENON_BACKEND_KILLS", 3) {
		if n > 0 && n%5 == 0 { // a backend that dies six times within a minute is given up, as it should be
			s.stop()
			s = start(t, data, nil)
			s.ready()
		}
		ctx, cancel := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		var result *loadtest.Result
		busy.Go(func() {
			result, _ = loadtest.Run(ctx, loadtest.Plan{URL: s.url, Models: []string{"menu"}, Prompts: prompts[:1], Tokens: 24, Clients: 4, Duration: 2 * time.Second,
				Check: func(a loadtest.Answer) error {
					if a.Generation != generation || a.Text != text {
						t.Errorf("generation %s gave %q", a.Generation, a.Text)
					}
					return nil
				}})
		})
		time.Sleep(300 * time.Millisecond)
		if err := syscall.Kill(s.backend(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		busy.Wait()
		cancel()
		for why := range result.Failed {
			if why != "status 503" && !strings.HasPrefix(why, "broken off: ") {
				t.Errorf("a request failed with %q", why)
			}
		}
		s.ready()
		if by, again := s.text("menu", prompts[0]); by != generation || again != text {
			t.Errorf("after kill %d generation %s gives %q", n, by, again)
		}
	}
	s.stop()
}
