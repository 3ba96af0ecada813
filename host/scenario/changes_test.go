package scenario

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/loadtest"
)

// A hundred loads at once, of many names: each is answered, with success or with "later", those that succeeded are live and right, and nothing
// else is in memory.
func TestManyLoads(t *testing.T) {
	data := t.TempDir()
	s := quick(t, data)
	dirs := []string{first, second, scaled(t, "8"), scaled(t, "16")}
	var codes [100]int
	var loads sync.WaitGroup
	for i := range codes {
		loads.Go(func() {
			code, body, err := s.tryLoad(fmt.Sprintf("a%d", i%20), dirs[i%len(dirs)])
			if err != nil || code != 200 && code != 429 && code != 409 && code != 503 {
				t.Errorf("load %d: %d %s %v", i, code, body, err)
			}
			codes[i] = code
		})
	}
	loads.Wait()
	for i := range codes { // whoever was told to come later does
		for codes[i] == http.StatusTooManyRequests {
			codes[i], _, _ = s.tryLoad(fmt.Sprintf("a%d", i%20), dirs[i%len(dirs)])
		}
	}
	views, backend := s.adapters()
	if len(views) != 20 || !backend.Ready || backend.Restarts != 0 {
		t.Errorf("%d are live, %+v", len(views), backend)
	}
	texts := map[string]string{}
	for name, v := range views {
		by, text := s.text(name, prompts[0])
		if by != v.Generation || texts[by] != "" && texts[by] != text {
			t.Errorf("%s answers as %s: %q", name, by, text)
		}
		texts[by] = text
	}
	if len(texts) != len(dirs) {
		t.Errorf("%d generations are live, of %d adapters", len(texts), len(dirs))
	}
	s.stop()
	audit(t, data)
}

// Clients give up loads at random moments. The alias means what it meant or what was asked for, nothing half is in memory or on the disk.
func TestLoadGivenUp(t *testing.T) {
	data := t.TempDir()
	s := quick(t, data)
	s.load("menu", first)
	old, text := s.text("menu", prompts[0])
	s.load("other", second)
	fresh, otherText := s.text("other", prompts[0])
	texts := map[string]string{old: text, fresh: otherText}
	random := rand.New(rand.NewPCG(3, 4))
	took := time.Now()
	s.load("menu", second)
	most := time.Since(took)
	givenUp := 0
	for n := range times(t, "TENON_GIVEN_UP", 30) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(most))))
		// The third adapter is new each time, so that there is something to stage.
		ref, name := scaled(t, fmt.Sprint(1000+n)), fmt.Sprintf("new%d", n)
		code, _, err := s.post(ctx, name, ref, "merged")
		cancel()
		if err != nil {
			givenUp++
		}
		if err == nil && code != http.StatusOK {
			t.Fatalf("load %d: %d", n, code)
		}
	}
	if givenUp == 0 {
		t.Error("no load was given up: the test looks in the wrong place")
	}
	// What the server was doing for those who left ends.
	live := func() (generations []string) {
		for _, g := range s.generations() {
			generations = append(generations, g)
		}
		return append(generations, old) // to go back to
	}
	settled := false
	for range 200 {
		if known := live(); !slices.ContainsFunc(s.resident(), func(g string) bool { return !slices.Contains(known, g) }) {
			settled = true
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !settled {
		t.Errorf("in memory are %v, live are %v", s.resident(), live())
	}
	if half, err := os.ReadDir(filepath.Join(data, "incoming")); err != nil || len(half) > 0 {
		t.Errorf("half of something is on the disk: %v, %v", half, err)
	}
	if by, now := s.text("menu", prompts[0]); by != fresh || now != texts[fresh] {
		t.Errorf("menu answers as %s: %q", by, now)
	}
	before := s.generations()
	s.stop()
	s = quick(t, data)
	if after := s.generations(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after the restart %v are live, before it %v", after, before)
	}
	s.stop()
	audit(t, data)
}

// Many change one alias at once. Each change is done or refused as a conflict, or because the name means nothing; the history tells what was
// done, in the order of the sequence, and the last of it is live.
func TestChangesAtOnce(t *testing.T) {
	data := t.TempDir()
	s := quick(t, data)
	s.load("menu", second)
	fresh := s.generations()["menu"]
	s.load("menu", first)
	old := s.generations()["menu"]
	var done, conflicts atomic.Int64
	var changes sync.WaitGroup
	for i := range 12 {
		changes.Go(func() {
			for range 6 {
				var code int
				var body []byte
				var err error
				switch i % 4 {
				case 0:
					code, err = s.rollback("menu", fresh)
				case 1:
					code, err = s.rollback("menu", old)
				case 2:
					code, body, err = s.tryLoad("menu", []string{first, second}[i/4%2])
				default:
					code, body, err = s.call(t.Context(), http.MethodDelete, "/api/v1/adapters/menu", nil)
				}
				switch {
				case err == nil && code == http.StatusOK:
					done.Add(1)
				case err == nil && code == http.StatusConflict:
					conflicts.Add(1)
				case err != nil || code != http.StatusNotFound && code != http.StatusTooManyRequests:
					t.Errorf("%d %s %v", code, body, err)
				}
			}
		})
	}
	changes.Wait()
	t.Logf("%d changes, %d conflicts", done.Load(), conflicts.Load())
	if done.Load() == 0 {
		t.Error("nobody won")
	}
	s.load("menu", first)
	var history struct {
		History []struct {
			Sequence          uint64
			State, Generation string
		}
	}
	s.read("/api/v1/adapters/menu/history?limit=1000", &history)
	if len(history.History) < 2 || history.History[0].Generation != old {
		t.Errorf("history %+v", history)
	}
	for i := 1; i < len(history.History); i++ {
		if history.History[i].Sequence >= history.History[i-1].Sequence {
			t.Errorf("%+v comes after %+v", history.History[i-1], history.History[i])
		}
	}
	s.stop()
	audit(t, data)
}

// An alias is unloaded and loaded again under load: a text that was begun is finished by the generation that began it, and whoever comes while
// the name means nothing is told so.
func TestUnloadUnderLoad(t *testing.T) {
	s := quick(t, t.TempDir())
	s.load("menu", first)
	texts := map[string]string{}
	generation, text := s.text("menu", prompts[0])
	texts[generation] = text
	s.load("menu", second)
	generation, text = s.text("menu", prompts[0])
	texts[generation] = text
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var result *loadtest.Result
	var err error
	clients.Go(func() {
		result, err = loadtest.Run(t.Context(), loadtest.Plan{
			URL: s.url, Models: []string{"menu"}, Prompts: prompts[:1], Tokens: 24, Clients: 6, Duration: time.Hour, Stop: stop,
			Check: func(a loadtest.Answer) error {
				if want, known := texts[a.Generation]; !known || a.Text != want {
					return fmt.Errorf("generation %s gave %q", a.Generation, a.Text)
				}
				return nil
			}})
	})
	for n := range 20 {
		if code, body, err := s.unload("menu"); err != nil || code != http.StatusOK {
			t.Errorf("unload %d: %d %s %v", n, code, body, err)
		}
		s.load("menu", []string{first, second}[n%2])
		if by, text := s.text("menu", prompts[0]); texts[by] != text {
			t.Errorf("generation %s gave %q", by, text)
		}
	}
	close(stop)
	clients.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests, failed %v", result.Requests, result.Failed)
	for why := range result.Failed {
		if why != "status 404" {
			t.Errorf("a request failed with %q", why)
		}
	}
	if result.Wrong > 0 || len(result.Answered) == 0 {
		t.Errorf("wrong %d: %s, answered by %v", result.Wrong, result.FirstWrong, result.Answered)
	}
	if code, body, _ := s.unload("menu"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	code, body, _ := s.call(t.Context(), http.MethodPost, "/v1/completions", map[string]any{"model": "menu", "prompt": "x"})
	if code != http.StatusNotFound || bytes.Contains(body, []byte("choices")) {
		t.Errorf("an unloaded name answers %d %s", code, body)
	}
	if left := s.resident(); len(left) > 1 {
		t.Errorf("in memory are %v", left)
	}
	s.stop()
}
