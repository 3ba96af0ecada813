package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// keyring is a keys file of the tests, and its secrets by name.
type keyring struct {
	*Keys
	path    string
	secrets map[string]string
}

// newKeys writes a keys file. Each entry is "name tenant scope,scope", with - for no tenant.
func newKeys(t testing.TB, entries ...string) *keyring {
	t.Helper()
	k := &keyring{path: filepath.Join(t.TempDir(), "keys.yaml"), secrets: map[string]string{}}
	k.write(t, entries...)
	var err error
	if k.Keys, err = LoadKeys(k.path); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *keyring) write(t testing.TB, entries ...string) {
	t.Helper()
	text := "keys:\n"
	for _, entry := range entries {
		words := strings.Fields(entry)
		secret, digest := NewSecret()
		if k.secrets[words[0]] == "" || len(words) > 3 {
			k.secrets[words[0]] = secret
			k.secrets["digest of "+words[0]] = digest
		}
		text += fmt.Sprintf("- {name: %s, tenant: %q, scopes: [%s], sha256: %s, created: 2026-01-02T03:04:05Z, requests: 2}\n", words[0],
			strings.TrimPrefix(words[1], "-"), words[2], k.secrets["digest of "+words[0]])
	}
	if err := os.WriteFile(k.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newKeyed is newServer with keys.
func newKeyed(f *fake, k *keyring, log *slog.Logger) *Server {
	return New(f, Options{Log: log, BaseName: "tiny", Addr: "127.0.0.1:8321", Version: "test", Keys: k.Keys})
}

// as asks with a secret; "" sends none.
func as(t testing.TB, s *Server, secret, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8321"+path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	fitsDocument(t, s, r, w)
	return w
}

// TestScopes asks every route with a key of each single scope: it passes where the table says so, and nowhere else. A route that somebody adds
// is in it by itself.
func TestScopes(t *testing.T) {
	k := newKeys(t, "r - read", "l - load", "a - activate", "admin - admin", "tenant acme read,load,activate")
	f := newFake(t)
	f.limits.ModelDir = t.TempDir()
	s := newKeyed(f, k, slog.New(slog.DiscardHandler))
	open := []string{"/livez", "/readyz", "/health", "/ping", "/api/v1/openapi.json"}
	for _, rt := range s.routes {
		if rt.out == eventType {
			continue // it does not end; TestEvents has it
		}
		path := strings.ReplaceAll(rt.path, "{alias}", "x")
		for name, secret := range k.secrets {
			if !IsSecret(secret) {
				continue
			}
			who, _ := k.Authenticate(secret)
			w := as(t, s, secret, rt.method, path, "{}")
			may := slices.Contains(open, rt.path) || who.May(rt.scope) && !(rt.operator && who.Tenant != "")
			if may == (w.Code == http.StatusForbidden) || w.Code == http.StatusUnauthorized {
				t.Errorf("%s %s with the key %s: %d %s", rt.method, path, name, w.Code, w.Body)
			}
		}
		w := as(t, s, "", rt.method, path, "{}")
		if want := !slices.Contains(open, rt.path); want != (w.Code == http.StatusUnauthorized) {
			t.Errorf("%s %s without a key: %d %s", rt.method, path, w.Code, w.Body)
		}
	}
}

func TestAuthentication(t *testing.T) {
	k := newKeys(t, "a - read", "b - read")
	s := newKeyed(newFake(t), k, slog.New(slog.DiscardHandler))
	a, b := k.secrets["a"], k.secrets["b"]
	for _, c := range []struct {
		name   string
		values []string
		status int
	}{
		{"first", []string{"Bearer " + a}, 200},
		{"last", []string{"Bearer " + b}, 200},
		{"scheme in small letters", []string{"bearer " + a}, 200},
		{"none", nil, 401},
		{"unknown", []string{"Bearer tenon_" + strings.Repeat("A", 43)}, 401},
		{"empty", []string{"Bearer "}, 401},
		{"no scheme", []string{a}, 401},
		{"another scheme", []string{"Basic " + a}, 401},
		{"two headers", []string{"Bearer " + a, "Bearer " + b}, 401},
		{"two keys", []string{"Bearer " + a + " " + b}, 401},
		{"one digit short", []string{"Bearer " + a[:len(a)-1]}, 401},
		{"the digest", []string{"Bearer " + k.secrets["digest of a"]}, 401},
		{"too long", []string{"Bearer " + a + strings.Repeat(" ", maxSecret)}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8321/v1/models", nil)
			r.Header["Authorization"] = c.values
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code != c.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if c.status == 401 {
				wantError(t, w, 401, fault.UsageKey, "", "API key")
				if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
					t.Errorf("WWW-Authenticate %q", w.Header().Get("WWW-Authenticate"))
				}
			}
		})
	}
	for _, other := range []string{"/v1/models?key=" + a, "/v1/models?access_token=" + a} {
		if w := as(t, s, "", "GET", other, ""); w.Code != 401 {
			t.Errorf("a key in the URL: %d", w.Code)
		}
	}
}

// TestReload: keys come and go while the server runs, a file that is wrong changes nothing, and requests in flight count on.
func TestReload(t *testing.T) {
	k := newKeys(t, "a - read", "b - read")
	s := newKeyed(newFake(t), k, slog.New(slog.DiscardHandler))
	code := func(name string) int { return as(t, s, k.secrets[name], "GET", "/v1/models", "").Code }
	who, _ := k.Authenticate(k.secrets["a"])
	leave, ok := who.key.enter()
	if !ok {
		t.Fatal("not one request")
	}
	k.write(t, "a - read", "c - read")
	if code("c") != 401 {
		t.Error("the file is read without being asked")
	}
	if err := k.Reload(); err != nil {
		t.Fatal(err)
	}
	if code("a") != 200 || code("b") != 401 || code("c") != 200 {
		t.Errorf("after the change: %d %d %d", code("a"), code("b"), code("c"))
	}
	again, _ := k.Authenticate(k.secrets["a"])
	if _, ok := again.key.enter(); !ok {
		t.Error("no second request")
	}
	if code("a") != 429 {
		t.Errorf("a third request: %d", code("a"))
	}
	leave()
	if code("a") != 200 {
		t.Error("no request after one ended")
	}
	if err := os.WriteFile(k.path, []byte("keys: [{name: a}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); err == nil || code("a") != 200 || code("c") != 200 {
		t.Errorf("a wrong file: %v %d %d", err, code("a"), code("c"))
	}
}

func TestKeysFile(t *testing.T) {
	_, digest := NewSecret()
	secret, _ := NewSecret()
	good := "{name: a, scopes: [read], sha256: " + digest + ", created: 2026-01-02T03:04:05Z}"
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string // "" is taken
	}{
		{"good", "keys: [" + good + "]", 0o600, ""},
		{"JSON", `{"keys":[{"name":"a","tenant":"t","scopes":["read"],"sha256":"` + digest + `","created":"2026-01-02T03:04:05Z"}]}`, 0o600, ""},
		{"for a group to read", "keys: [" + good + "]", 0o640, ""},
		{"for everybody to read", "keys: [" + good + "]", 0o604, "0604"},
		{"for a group to write", "keys: [" + good + "]", 0o620, "0620"},
		{"empty", "", 0o600, "no key in it"},
		{"no YAML", "keys: [", 0o600, "not a keys file"},
		{"unknown field", "keys: [{name: a, scope: [read]}]", 0o600, "scope"},
		{"twice the same field", "keys: [" + good + "]\nkeys: []", 0o600, "already"},
		{"two documents", "keys: [" + good + "]\n---\nkeys: []", 0o600, "more than one document"},
		{"a secret as digest", "keys: [{name: a, scopes: [read], sha256: " + secret + "}]", 0o600, "64 hexadecimal"},
		{"a secret as name", "keys: [{name: " + secret + ", scopes: [read], sha256: " + digest + "}]", 0o600, "place of a name"},
		{"a secret as unknown field", "keys: [{name: a, " + secret + ": x}]", 0o600, "not a keys file"},
		{"unknown scope", "keys: [{name: a, scopes: [all], sha256: " + digest + "}]", 0o600, "no scope"},
		{"no scope", "keys: [{name: a, sha256: " + digest + "}]", 0o600, "without a scope"},
		{"admin of a tenant", "keys: [{name: a, tenant: t, scopes: [admin], sha256: " + digest + "}]", 0o600, "cannot be admin"},
		{"tenant with a slash", "keys: [{name: a, tenant: t/u, scopes: [read], sha256: " + digest + "}]", 0o600, "name for a tenant"},
		{"operator's own name", "keys: [{name: operator, scopes: [read], sha256: " + digest + "}]", 0o600, "calls itself"},
		{"one digest twice", "keys: [" + good + ", " + strings.Replace(good, "name: a", "name: b", 1) + "]", 0o600, "same digest"},
		{"one name twice", "keys: [" + good + ", " + strings.Replace(good, digest, strings.Repeat("0", 64), 1) + "]", 0o600, `name "a"`},
		{"relative root", "keys: [{name: a, root: x, scopes: [load], sha256: " + digest + "}]", 0o600, "absolute"},
		{"too long", "# " + strings.Repeat("x", maxKeysFile), 0o600, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadKeys(path)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
	if _, err := LoadKeys(t.TempDir()); fault.All(err)[0].Code != fault.IOFileType {
		t.Errorf("a directory: %v", err)
	}
}

// TestExpiry: a key ends at its time, whatever else the file says.
func TestExpiry(t *testing.T) {
	k := newKeys(t, "a - read")
	end := time.Now().Add(time.Hour)
	(*k.keys.Load())[0].expires = end
	if k.find(k.secrets["a"], end.Add(-time.Second)) == nil || k.find(k.secrets["a"], end) != nil {
		t.Error("it does not end when it says")
	}
	who, _ := k.Authenticate(k.secrets["a"])
	if !who.current(k.Keys, end.Add(-time.Second)) || who.current(k.Keys, end) {
		t.Error("what began with it goes on")
	}
}

// TestSecretsAreSecret puts a key's secret wherever a client can by mistake, makes a handler panic and an engine fail with it, and looks for it
// in every answer, in the log and in the metrics.
func TestSecretsAreSecret(t *testing.T) {
	k := newKeys(t, "a - read,load,activate", "admin - admin")
	secret := k.secrets["a"]
	f := newFake(t)
	var log bytes.Buffer
	s := newKeyed(f, k, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	var answers strings.Builder
	ask := func(method, path, body string) {
		w := as(t, s, secret, method, path, body)
		fmt.Fprintf(&answers, "%d %v %s\n", w.Code, w.Header(), w.Body)
	}
	every := func() {
		ask("GET", "/"+secret, "")
		ask("GET", "/v1/models?key="+secret, "")
		ask("GET", "/api/v1/adapters/"+secret+"/report?generation="+secret+"&format="+secret, "")
		ask("GET", "/api/v1/adapters/x/history?limit="+secret, "")
		ask("POST", "/v1/completions", `{"model":"`+secret+`","prompt":"x"}`)
		ask("POST", "/v1/completions", `{"`+secret+`":1}`)
		ask("POST", "/v1/load_lora_adapter", `{"lora_name":"`+secret+`","lora_path":"/`+secret+`"}`)
		ask("POST", "/api/v1/adapters/x", `{"ref":"`+secret+`","mode":"`+secret+`"}`)
		ask("POST", "/api/v1/adapters/x", `{"ref":"`+secret+`"}`)
		ask("POST", "/api/v1/adapters/x", `{"ref":"/ok"}`)
		ask(secret, "/v1/models", "")
	}
	every()
	f.loadErr = fault.New(fault.IORead, "cannot read %s", secret)
	every()
	f.loading = func() { panic(secret) }
	every()
	f.loadErr, f.loading = nil, nil
	metrics := as(t, s, k.secrets["admin"], "GET", "/metrics", "").Body.String()
	if answers.Len() < 1000 || log.Len() < 1000 || len(metrics) < 1000 || !strings.Contains(log.String(), "panicked") {
		t.Fatal("too little was said for a test")
	}
	for where, text := range map[string]string{"the log": log.String(), "the metrics": metrics, "the answers": answers.String()} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s: …%s", where, text[max(0, i-200):i+60])
		}
	}
}
