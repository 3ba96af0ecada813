package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// gatekeeper is a loader whose answer is in the adapter's own configuration: admit, deny, fail, name, hang (until it is given up), deaf (for
// good). It keeps what it was offered.
type gatekeeper struct {
	mu      sync.Mutex
	offered []string // alias and bytes
	checked []string
	failing bool
	during  func(path string) // happens while one is looked at
	over    chan struct{}     // ends what is deaf
	refused []string          // alias and code
}

func (g *gatekeeper) Refused(ctx context.Context, alias, ref string, why *fault.Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = append(g.refused, alias+" "+string(why.Code))
}

func (g *gatekeeper) Offer(ctx context.Context, load server.Load) (*server.Loaded, error) {
	if server.ActorOf(ctx) != Actor {
		return nil, errors.New("nobody said who asks")
	}
	r, err := g.judge(ctx, load.Ref)
	if err == nil && r.Verdict.Open() {
		text, _ := os.ReadFile(filepath.Join(load.Ref, "adapter_model.safetensors"))
		word := load.Alias + "=" + string(text)
		if load.Staged {
			word += " staged"
		}
		g.mu.Lock()
		g.offered = append(g.offered, word)
		g.mu.Unlock()
	}
	return &server.Loaded{Report: r}, err
}

func (g *gatekeeper) Check(ctx context.Context, ref string) (*report.Report, error) {
	g.mu.Lock()
	g.checked = append(g.checked, filepath.Base(ref))
	g.mu.Unlock()
	return g.judge(ctx, ref)
}

func (g *gatekeeper) judge(ctx context.Context, ref string) (*report.Report, error) {
	text, err := os.ReadFile(filepath.Join(ref, "adapter_config.json"))
	if errors.Is(err, syscall.ENOTDIR) {
		text, err = os.ReadFile(ref) // one file
	}
	if err != nil {
		return nil, fault.New(fault.IONotFound, "it has gone").Wrap(err)
	}
	if g.during != nil {
		g.during(ref)
	}
	r := &report.Report{SchemaVersion: report.SchemaVersion, Adapter: report.Adapter{Ref: ref, Digest: "sha256:" + strings.Repeat("ab", 32)}}
	switch string(text) {
	case "deny":
		r.Verdict = report.Deny
	case "fail":
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.failing {
			return nil, fault.New(fault.BackendDown, "no backend")
		}
		r.Verdict = report.Admit
	case "name":
		return nil, fault.New(fault.ADConfig, "the name is wrong")
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case "deaf":
		<-g.over
		return nil, errors.New("over")
	default:
		r.Verdict = report.Admit
	}
	return r, nil
}

func (g *gatekeeper) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(slices.Values(g.offered))
}

func put(t *testing.T, dir, name, config, weights string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"adapter_config.json": config, "adapter_model.safetensors": weights} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(path, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// watched runs story beside a Watch of dir. Looks come often, and a directory settles soon.
func watched(t *testing.T, dir string, g *gatekeeper, o Options, story func()) {
	t.Helper()
	g.over = make(chan struct{})
	o.Base = "base"
	o.Settle, o.Rescan = 20*time.Millisecond, 20*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Watch(ctx, dir, g, o) }()
	story()
	cancel()
	close(g.over)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// until waits for something to become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func exists(path ...string) bool {
	_, err := os.Lstat(filepath.Join(path...))
	return err == nil
}

// quarantined waits for name to be in quarantine, and returns the findings of the report beside it.
func quarantined(t *testing.T, dir, place, name string) []report.Finding {
	t.Helper()
	place = filepath.Join(dir, QuarantineName, place)
	until(t, name+" in "+place, func() bool { return exists(place, name) && !exists(dir, name) })
	text, err := os.ReadFile(filepath.Join(place, "report.json"))
	var r report.Report
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || r.Verdict.Open() || !exists(place, "report.html") {
		t.Errorf("%s: %s %v, and an HTML page: %t", place, r.Verdict, err, exists(place, "report.html"))
	}
	return r.Findings
}

// TestFolder puts things into a folder, one after another, beside what is bad, slow, deaf and odd.
func TestFolder(t *testing.T) {
	dir, g := t.TempDir(), &gatekeeper{failing: true}
	put(t, dir, "deaf", "deaf", "w")
	put(t, dir, "hanging", "hang", "w")
	put(t, dir, "early", "ok", "1")
	watched(t, dir, g, Options{Workers: 1, Slow: 10 * time.Millisecond}, func() {
		until(t, "what was there first", func() bool { return slices.Equal(g.list(), []string{"early=1"}) })
		put(t, dir, "copied", "ok", "") // the weights are still missing
		put(t, dir, "refused", "deny", "w")
		quarantined(t, dir, "refused-abababababab", "refused")
		put(t, dir, "refused", "deny", "w")
		quarantined(t, dir, "refused-abababababab.2", "refused")
		put(t, dir, "wrong", "name", "w")
		if entries, _ := filepath.Glob(filepath.Join(dir, QuarantineName, "wrong-*")); len(entries) > 1 {
			t.Errorf("it is there twice: %q", entries)
		}
		put(t, dir, "copied", "", "2")
		until(t, "the weights come", func() bool { return slices.Contains(g.list(), "copied=2") })
		// The same name, and other bytes.
		put(t, dir, "copied", "", "three")
		until(t, "new bytes", func() bool { return slices.Contains(g.list(), "copied=three") })
		// Renamed in from beside.
		if err := os.Rename(put(t, t.TempDir(), "x", "ok", "4"), filepath.Join(dir, "moved")); err != nil {
			t.Fatal(err)
		}
		until(t, "renamed in", func() bool { return slices.Contains(g.list(), "moved=4") })
		// What fails for another reason is tried again.
		put(t, dir, "later", "fail", "5")
		g.mu.Lock()
		g.failing = false
		g.mu.Unlock()
		until(t, "tried again", func() bool { return slices.Contains(g.list(), "later=5") })
		if err := os.RemoveAll(filepath.Join(dir, "early")); err != nil {
			t.Fatal(err)
		}
		put(t, dir, ".hidden", "ok", "6")
		put(t, dir, "last", "ok", "7")
		until(t, "the last one", func() bool { return slices.Contains(g.list(), "last=7") })
	})
	want := []string{"copied=2", "copied=three", "early=1", "last=7", "later=5", "moved=4"}
	if got := g.list(); !slices.Equal(got, want) {
		t.Errorf("taken in: %q, want %q", got, want)
	}
	if !exists(dir, "deaf") || !exists(dir, "hanging") {
		t.Error("what had no answer has moved")
	}
}

// TestOddThings are no adapters: they are refused for what they are, or left alone.
func TestOddThings(t *testing.T) {
	dir, g := t.TempDir(), &gatekeeper{}
	outside := put(t, t.TempDir(), "outside", "ok", "w")
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"bundle.rar": "x", "README.md": "hello", "report.zip": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(t, dir, "a name\x1b[31m", "ok", "w")
	put(t, dir, "base", "ok", "w")
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	watched(t, dir, g, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, func() {
		for name, want := range map[string]fault.Code{
			"link": fault.IOFileType, "pipe": fault.IOFileType, "bundle.rar": fault.ADArchive, "report.zip": fault.ADArchive,
			"a name\x1b[31m": fault.ADName, "base": fault.ADName,
		} {
			var places []string
			until(t, name, func() bool {
				places, _ = filepath.Glob(filepath.Join(dir, QuarantineName, label(name)+"-*"))
				return len(places) == 1 && exists(places[0], inner(name))
			})
			findings := quarantined(t, dir, filepath.Base(places[0]), inner(name))
			if len(findings) != 1 || findings[0].Code != string(want) {
				t.Errorf("%q: %+v, want %s", name, findings, want)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "empty", "notes"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		put(t, dir, "after", "ok", "7") // by the time that this one is in, the other has settled again
		until(t, "after", func() bool { return len(g.list()) == 1 })
	})
	slices.Sort(g.refused)
	if got, want := strings.Join(g.refused, ","), " NAME,base NAME,bundle.rar AD_ARCHIVE,link IO_FILE_TYPE,pipe IO_FILE_TYPE,report.zip AD_ARCHIVE"; got != want {
		t.Errorf("told of %q, want %q", got, want)
	}
	for _, want := range []string{"code=NAME", `finding="`, "verdict=deny", "code=AD_ARCHIVE", `path="?` + dir} {
		if !regexp.MustCompile("msg=\"an adapter of the watched folder was refused\".*" + want).MatchString(log.String()) {
			t.Errorf("%s is not said of what was refused:\n%s", want, &log)
		}
	}
	if n := strings.Count(log.String(), "is no adapter yet"); n != 1 || strings.Contains(log.String(), "\x1b") {
		t.Errorf("what is incomplete is said %d times, want once:\n%s", n, &log)
	}
	if !exists(dir, "README.md") || !exists(dir, "empty") || !exists(outside) {
		t.Error("what is nobody's business has moved")
	}
	if got := g.list(); !slices.Equal(got, []string{"after=7"}) {
		t.Errorf("taken in: %q", got)
	}
}

// TestActions does less than making live.
func TestActions(t *testing.T) {
	for action, want := range map[Action]string{Stage: "x=w staged", Check: ""} {
		dir, g := t.TempDir(), &gatekeeper{}
		put(t, dir, "x", "ok", "w")
		watched(t, dir, g, Options{Action: action}, func() {
			until(t, string(action), func() bool {
				g.mu.Lock()
				defer g.mu.Unlock()
				return len(g.offered)+len(g.checked) > 0
			})
		})
		if got := strings.Join(g.list(), ","); got != want {
			t.Errorf("%s: taken in %q, want %q", action, got, want)
		}
	}
}

// TestChangedDuringCheck denies what has been replaced meanwhile: the verdict is not about what is there now.
func TestChangedDuringCheck(t *testing.T) {
	dir := t.TempDir()
	var once sync.Once
	g := &gatekeeper{during: func(path string) {
		once.Do(func() { put(t, dir, "x", "ok", "good") })
	}}
	put(t, dir, "x", "deny", "bad")
	watched(t, dir, g, Options{}, func() {
		until(t, "what replaced it", func() bool { return slices.Equal(g.list(), []string{"x=good"}) })
	})
	if exists(dir, QuarantineName) {
		t.Error("what was put there during the check is in quarantine")
	}
}

// TestQuarantineIsALink refuses to write where somebody's link leads.
func TestQuarantineIsALink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, QuarantineName)); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "x", "deny", "w")
	if _, err := quarantine(dir, "x", outcome{refusal: fault.New(fault.ADConfig, "no")}); err == nil {
		t.Error("it went where the link leads")
	}
	if entries, _ := os.ReadDir(elsewhere); len(entries) != 0 {
		t.Errorf("there is %v where the link leads", entries)
	}
}

// TestNeverEnding gives up what does not end, whether it listens or not, and lets others by meanwhile.
func TestNeverEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{options: Options{Patience: time.Hour}.withDefaults(), slots: make(chan struct{}, 1), slow: make(chan struct{}, 1)}
		over := make(chan struct{})
		defer close(over)
		start, ended := time.Now(), make(chan time.Duration, 2)
		go func() {
			o := w.attempt(t.Context(), func(context.Context) outcome { <-over; return outcome{} })
			if o.err == nil {
				t.Error("what never ended has an answer")
			}
			ended <- time.Since(start)
		}()
		synctest.Wait()
		go func() {
			w.attempt(t.Context(), func(context.Context) outcome { return outcome{} })
			ended <- time.Since(start)
		}()
		if next := <-ended; next > w.options.Slow {
			t.Errorf("the next one waited for %v", next)
		}
		if deaf := <-ended; deaf > w.options.Patience+w.options.Settle {
			t.Errorf("it was given up after %v", deaf)
		}
	})
}

// TestFolderThatCannotBeWatched says so at once.
func TestFolderThatCannotBeWatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, file + "/nowhere"} {
		if err := Watch(t.Context(), dir, &gatekeeper{}, Options{}); err == nil {
			t.Errorf("%s is watched", dir)
		}
	}
	if err := Watch(t.Context(), t.TempDir(), &gatekeeper{}, Options{Action: "delete"}); err == nil {
		t.Error("an action that there is none of was taken")
	}
}

// TestFiles puts adapters that are one file into a folder: what may be one is taken in under its name without the ending when nobody writes to
// it any more, and what is an archive of another kind is refused.
func TestFiles(t *testing.T) {
	dir, g := t.TempDir(), &gatekeeper{}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	watched(t, dir, g, Options{}, func() {
		aliases := map[string]string{"a.tar.zst": "a", "b.tar.gz": "b", "c.TGZ": "c", "d.safetensors.zst": "d", "e.safetensors": "e", "f.gguf": "f"}
		for name := range aliases {
			write(name, "ok")
		}
		write("notes.txt", "ok")
		write(".hidden.tar.zst", "ok")
		for _, alias := range aliases {
			until(t, alias+" is live", func() bool { return slices.Contains(g.list(), alias+"=") })
		}
		write("bad.tar.zst", "deny")
		quarantined(t, dir, "bad.tar.zst-abababababab", "bad.tar.zst")
		for _, name := range []string{"x.zip", "x.7z", "x.tar", "base.tar.zst"} {
			write(name, "ok")
			until(t, name+" is refused", func() bool {
				found, _ := filepath.Glob(filepath.Join(dir, QuarantineName, name+"-*", name))
				return len(found) == 1
			})
		}
		if got := g.list(); len(got) != len(aliases) {
			t.Errorf("offered %q", got)
		}
		// A file that grows is looked at when it has stopped.
		write("slow.tar.gz", "o")
		for range 20 {
			time.Sleep(5 * time.Millisecond)
			f, err := os.OpenFile(filepath.Join(dir, "slow.tar.gz"), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("k")
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		until(t, "it has grown", func() bool { return slices.Contains(g.list(), "slow=") })
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.refused, " "+string(fault.ADName)) && !slices.Contains(g.refused, "base "+string(fault.ADName)) {
		t.Errorf("refused %q", g.refused)
	}
}
