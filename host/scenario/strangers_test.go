package scenario

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var secret = regexp.MustCompile(`this once: (\S+)`)

// newKey makes an API key with the program, adds it to a file, and returns its secret.
func newKey(t *testing.T, file, name, tenant, scopes string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, "key", "new", "--name", name, "--tenant", tenant, "--scope", scopes)
	var said strings.Builder
	command.Stderr = &said
	entry, err := command.Output()
	found := secret.FindStringSubmatch(said.String())
	if err != nil || found == nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	keys, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	if _, err := keys.Write(entry); err != nil {
		t.Fatal(err)
	}
	return found[1]
}

// as sends a request with a key.
func (s *server) as(key, method, path, body string) (int, string) {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Another tenant's adapter is, to who asks for it, one that does not exist: in every answer, over a restart too. Its names are in no list of his,
// and no key's secret is in the log.
func TestTenants(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(keys, []byte("keys:\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const scopes = "read,load,activate"
	acme, bolt := newKey(t, keys, "a", "acme", scopes), newKey(t, keys, "b", "bolt", scopes)
	reader := newKey(t, keys, "r", "acme", "read")
	data := t.TempDir()
	s := quick(t, data, "--keys", keys, "--verbose")
	dir, err := filepath.Abs(first)
	if err != nil {
		t.Fatal(err)
	}
	load := fmt.Sprintf(`{"lora_name":"secret","lora_path":%q}`, dir)
	if code, text := s.as(reader, http.MethodPost, "/v1/load_lora_adapter", load); code != http.StatusForbidden {
		t.Errorf("a key that may only read: %d %s", code, text)
	}
	if code, text := s.as("wrong", http.MethodGet, "/v1/models", ""); code != http.StatusUnauthorized {
		t.Errorf("a wrong key: %d %s", code, text)
	}
	if code, text := s.as(acme, http.MethodPost, "/v1/load_lora_adapter", load); code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	for _, restarted := range []bool{false, true} {
		if restarted {
			s.stop()
			s = quick(t, data, "--keys", keys, "--verbose")
		}
		for _, c := range []struct{ method, path, body string }{
			{http.MethodPost, "/v1/completions", `{"model":"NAME","prompt":"x","max_tokens":1}`},
			{http.MethodGet, "/api/v1/adapters/NAME", ""},
			{http.MethodGet, "/api/v1/adapters/NAME/report", ""},
			{http.MethodGet, "/api/v1/adapters/NAME/history", ""},
			{http.MethodPost, "/api/v1/adapters/NAME/rollback", "{}"},
			{http.MethodDelete, "/api/v1/adapters/NAME", ""},
			{http.MethodDelete, "/api/v1/adapters/acme%2FNAME", ""},
			{http.MethodPost, "/v1/unload_lora_adapter", `{"lora_name":"NAME"}`},
		} {
			ask := func(name string) string {
				code, text := s.as(bolt, c.method, strings.ReplaceAll(c.path, "NAME", name), strings.ReplaceAll(c.body, "NAME", name))
				if code < 400 || code > 404 {
					t.Errorf("%s %s: %d %s", c.method, c.path, code, text)
				}
				return fmt.Sprint(code, strings.ReplaceAll(text, name, "NAME"))
			}
			if theirs, nobodys := ask("secret"), ask("ghosts"); theirs != nobodys {
				t.Errorf("%s %s: another tenant's is answered %s, nobody's %s", c.method, c.path, theirs, nobodys)
			}
		}
		for _, path := range []string{"/v1/models", "/api/v1/adapters", "/api/v1/generations"} {
			if code, text := s.as(bolt, http.MethodGet, path, ""); code != http.StatusOK || strings.Contains(text, "secret") {
				t.Errorf("%s: %d %s", path, code, text)
			}
		}
		if code, text := s.as(acme, http.MethodPost, "/v1/completions", `{"model":"secret","prompt":"x","max_tokens":1}`); code != http.StatusOK {
			t.Errorf("its own: %d %s", code, text)
		}
	}
	for _, key := range []string{acme, bolt, reader} {
		if strings.Contains(s.log.String(), key) {
			t.Error("a secret is in the log")
		}
	}
	s.stop()
}

// Names with control characters, markup and line ends arrive in the log, in terminals and on pages as text.
func TestNamesAreText(t *testing.T) {
	const evil = "x\x1b[2J\nlevel=ERROR msg=forged <img src=x onerror=alert(1)>\u202e"
	parent := filepath.Join(t.TempDir(), evil)
	if err := os.Mkdir(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "adapter")
	if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	s := quick(t, t.TempDir(), "--verbose")
	s.load("menu", dir)
	if code, body, err := s.tryLoad(evil, dir); err != nil || code != http.StatusBadRequest || strings.ContainsAny(string(body), "\x1b\u202e") {
		t.Errorf("as a name: %d %q %v", code, body, err)
	}
	for _, arguments := range [][]string{
		{"load", "other", parent}, {"load", evil, dir}, {"load", "other", dir}, {"ps"}, {"history", "menu"}, {"unload", evil},
	} {
		command := exec.CommandContext(t.Context(), program, append(arguments, "--server", s.url)...)
		out, err := command.CombinedOutput()
		if strings.ContainsAny(string(out), "\x1b\u202e") || strings.Contains(string(out), "\nlevel=ERROR") || len(out) == 0 {
			t.Errorf("tenon %s says %q, %v", arguments[0], out, err)
		}
	}
	for path, shown := range map[string]string{
		"/api/v1/adapters/menu/report?format=html": "&lt;img src=x", "/ui/": "menu", "/ui/adapter?alias=menu": "&lt;img src=x",
	} {
		code, page, err := s.call(t.Context(), http.MethodGet, path, nil)
		if err != nil || code != http.StatusOK || strings.Contains(string(page), "<img src=x") || strings.ContainsAny(string(page), "\x1b\u202e") {
			t.Errorf("%s: %d, %v", path, code, err)
		}
		if !strings.Contains(string(page), shown) {
			t.Errorf("%s does not show %s: the test looks in the wrong place", path, shown)
		}
	}
	s.stop()
	log := s.log.String()
	if strings.ContainsAny(log, "\x1b\u202e") || strings.Contains(log, "\nlevel=ERROR msg=forged") || !strings.Contains(log, "msg=forged") {
		t.Errorf("the log:\n%q", log)
	}
}

// What is no digest is none that is known, wherever a generation can be named, and never a path.
func TestDigestsAreNoPaths(t *testing.T) {
	s := quick(t, t.TempDir())
	s.load("menu", first)
	generation, text := s.text("menu", prompts[0])
	digits := strings.TrimPrefix(generation, "sha256:")
	for _, hostile := range []string{
		"sha256:../../../../etc/passwd", "../../x", "sha256:" + strings.ToUpper(digits), "sha512:" + digits + digits, "md5:" + digits[:32],
		digits[:63], "sha256:" + digits + "00",
		"sha256:" + digits + "/..", "sha256:", " " + generation, "sha256:" + strings.Repeat("a", 100_000), "sha256:\x00",
	} {
		for _, action := range []string{"activate", "rollback"} {
			code, body, err := s.call(t.Context(), http.MethodPost, "/api/v1/adapters/menu/"+action, map[string]string{"generation": hostile})
			if err != nil || code < 400 || code > 422 {
				t.Errorf("%s to %.80q: %d %s %v", action, hostile, code, body, err)
			}
		}
		if len(hostile) < 1000 {
			code, body, err := s.call(t.Context(), http.MethodGet, "/api/v1/adapters/menu/report?generation="+url.QueryEscape(hostile), nil)
			if err != nil || code < 400 || code > 422 {
				t.Errorf("report of %q: %d %s %v", hostile, code, body, err)
			}
		}
	}
	if by, again := s.text("menu", prompts[0]); by != generation || again != text {
		t.Errorf("afterwards it answers as %s: %q", by, again)
	}
	s.stop()
}
