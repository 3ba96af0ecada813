package scenario

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// program is the real binary, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tenon-scenario-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "tenon")
	build := exec.Command("go", "build", "-o", program, "github.com/tenon-ml/tenon/cmd/tenon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Adapters and base of the tests.
const (
	examples = "../../examples"
	baseDir  = examples + "/restaurant/base"
	first    = examples + "/restaurant/adapter"
	second   = examples + "/paper/r8-s0"
)

// times is how often something is done: few by default, so that the tests stay quick, or as the environment says.
func times(t *testing.T, variable string, few int) int {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		return few
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s=%q", variable, value)
	}
	return n
}

// server is a running program.
type server struct {
	testing.TB
	command *exec.Cmd
	url     string
	log     *tail
	ended   chan struct{} // closed when the process has been waited for
	err     error         // of the wait
}

// tail keeps the end of what a process said.
type tail struct {
	mu   sync.Mutex
	text []byte
	seen chan string // its address, once
	done bool
}

var listening = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)

// Write implements io.Writer.
func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if !l.done {
		if found := listening.FindSubmatch(l.text); found != nil {
			l.done = true
			l.seen <- string(found[1])
		}
	}
	if over := len(l.text) - 64<<10; over > 0 {
		l.text = append([]byte(nil), l.text[over:]...)
	}
	return len(p), nil
}

// String is what is kept.
func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// start runs tenon serve on a data directory, and waits until it listens. nil where it ended before that.
func start(t testing.TB, data string, environment []string, flags ...string) *server {
	t.Helper()
	s := &server{TB: t, log: &tail{seen: make(chan string, 1)}, ended: make(chan struct{})}
	s.command = exec.Command(program, append([]string{"serve", "--base", baseDir, "--name", "base", "--data", data, "--listen", "127.0.0.1:0"}, flags...)...)
	s.command.Env = append(os.Environ(), append([]string{"TENON_CACHE_DIR=" + cacheDir(t)}, environment...)...)
	s.command.Stderr, s.command.Stdout = s.log, io.Discard
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.command.Wait()
		close(s.ended)
	}()
	t.Cleanup(s.kill)
	select {
	case at := <-s.log.seen:
		s.url = "http://" + at
	case <-s.ended:
		return nil
	case <-time.After(2 * time.Minute):
		t.Fatalf("the server does not listen:\n%s", s.log)
	}
	return s
}

var (
	cacheOnce sync.Once
	cache     string
)

// cacheDir is one cache of compiled modules for all servers of the tests.
func cacheDir(t testing.TB) string {
	cacheOnce.Do(func() {
		dir, err := os.MkdirTemp(filepath.Dir(program), "cache-")
		if err != nil {
			t.Fatal(err)
		}
		cache = dir
	})
	return cache
}

// kill ends the process at once, and waits.
func (s *server) kill() {
	_ = s.command.Process.Kill() // it may have ended
	<-s.ended
}

// stop asks the process to end, and expects that it does.
func (s *server) stop() {
	s.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.Fatalf("the server does not end:\n%s", s.log)
	}
	if s.err != nil {
		s.Errorf("the server ended with %v:\n%s", s.err, s.log)
	}
}

// ready waits until completions are answered.
func (s *server) ready() {
	s.Helper()
	for range 600 {
		if code, _, err := s.call(s.Context(), http.MethodGet, "/readyz", nil); err == nil && code == http.StatusOK {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Fatalf("the server does not become ready:\n%s", s.log)
}

// call sends a request, with in as JSON where it is not nil.
func (s *server) call(ctx context.Context, method, path string, in any) (int, []byte, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		return 0, nil, err
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// load loads an adapter under a name, and expects that to be done.
func (s *server) load(name, dir string) {
	s.Helper()
	code, text, err := s.tryLoad(name, dir)
	if err != nil || code != http.StatusOK {
		s.Fatalf("loading %s: %d %s %v\n%s", dir, code, text, err, s.log)
	}
}

func (s *server) tryLoad(name, dir string) (int, []byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, nil, err
	}
	return s.call(context.Background(), http.MethodPost, "/v1/load_lora_adapter", map[string]any{"lora_name": name, "lora_path": dir})
}

// generations are what each alias means.
func (s *server) generations() map[string]string {
	s.Helper()
	code, text, err := s.call(s.Context(), http.MethodGet, "/v1/models", nil)
	var list struct {
		Data []struct {
			ID         string `json:"id"`
			Parent     string `json:"parent"`
			Generation string `json:"generation"`
		} `json:"data"`
	}
	if err == nil {
		err = json.Unmarshal(text, &list, json.DefaultOptionsV2())
	}
	if err != nil || code != http.StatusOK {
		s.Fatalf("listing: %d %s %v", code, text, err)
	}
	out := map[string]string{}
	for _, m := range list.Data {
		if m.Parent != "" {
			out[m.ID] = m.Generation
		}
	}
	return out
}

// text is a greedy completion, and the generation that made it.
func (s *server) text(model, prompt string) (generation, text string) {
	s.Helper()
	code, body, err := s.call(s.Context(), http.MethodPost, "/v1/completions", map[string]any{"model": model, "prompt": prompt, "max_tokens": 24, "temperature": 0})
	var answer struct {
		Fingerprint string `json:"system_fingerprint"`
		Choices     []struct {
			Text string `json:"text"`
		} `json:"choices"`
	}
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil || code != http.StatusOK || len(answer.Choices) != 1 {
		s.Fatalf("completing: %d %s %v\n%s", code, body, err, s.log)
	}
	return answer.Fingerprint, answer.Choices[0].Text
}

// rollback makes a name mean one of its earlier generations.
func (s *server) rollback(name, generation string) (int, error) {
	code, _, err := s.call(context.Background(), http.MethodPost, "/api/v1/adapters/"+url.PathEscape(name)+"/rollback", map[string]string{"generation": generation})
	return code, err
}

// gauges reads the server's metrics without labels.
func (s *server) gauges() map[string]float64 {
	s.Helper()
	_, text, err := s.call(s.Context(), http.MethodGet, "/metrics", nil)
	if err != nil {
		s.Fatal(err)
	}
	out := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			out[name] = n
		}
	}
	return out
}

// backend is the process id of the server's backend.
func (s *server) backend() int {
	s.Helper()
	parent := strconv.Itoa(s.command.Process.Pid)
	for range 100 {
		children, err := os.ReadFile("/proc/" + parent + "/task/" + parent + "/children")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			s.Fatal(err)
		}
		for _, child := range append(strings.Fields(string(children)), byParent(parent)...) {
			line, err := os.ReadFile("/proc/" + child + "/cmdline")
			if err == nil && bytes.HasPrefix(line, []byte("tenon-backend-cpu")) {
				pid, err := strconv.Atoi(child)
				if err != nil {
					s.Fatal(err)
				}
				return pid
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.Fatal("the server has no backend")
	return 0
}

// byParent lists the processes of a parent; a thread other than the first may have started them.
func byParent(parent string) (children []string) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		status, err := os.ReadFile("/proc/" + entry.Name() + "/status")
		if err == nil && bytes.Contains(status, []byte("\nPPid:\t"+parent+"\n")) {
			children = append(children, entry.Name())
		}
	}
	return children
}

// audit verifies the chain of a data directory with the program.
func audit(t testing.TB, data string) {
	t.Helper()
	if out, err := exec.Command(program, "audit", "verify", "--data", data).CombinedOutput(); err != nil {
		t.Errorf("the audit does not verify: %v\n%s", err, out)
	}
}

// isDigest tells whether a generation is named as it should be.
func isDigest(name string) bool {
	digits, ok := strings.CutPrefix(name, "sha256:")
	raw, err := hex.DecodeString(digits)
	return ok && err == nil && len(raw) == 32
}
