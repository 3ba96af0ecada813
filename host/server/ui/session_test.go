package ui

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/server"
)

// keyring is keys of the operator and of two tenants, one of whom may only read.
func keyring(t *testing.T) (keys *server.Keys, path string, secrets map[string]string) {
	t.Helper()
	secrets = map[string]string{}
	text := "keys:\n"
	for name, rest := range map[string]string{
		"ops": "scopes: [admin]", "acme": "tenant: acme, scopes: [read, load, activate], root: " + t.TempDir(), "reader": "tenant: other, scopes: [read]",
	} {
		secret, digest := server.NewSecret()
		secrets[name] = secret
		text += "- {name: " + name + ", " + rest + ", sha256: " + digest + ", created: 2026-01-01T00:00:00Z}\n"
	}
	path = filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := server.LoadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return keys, path, secrets
}

func TestSignIn(t *testing.T) {
	keys, path, secrets := keyring(t)
	at, client := site(t, newFake(t), keys)
	if _, body, _ := get(t, client, at+"/ui/"); !strings.Contains(body, "API key") || strings.Contains(body, "menu") {
		t.Fatalf("a stranger sees %s", body)
	}
	if code, _, _ := post(t, client, at+"/ui/unload", "alias", "menu"); code != http.StatusUnauthorized {
		t.Errorf("a stranger's form is answered with %d", code)
	}
	if code, body, _ := post(t, client, at+"/ui/signin", "key", "tenon_wrong"); code != http.StatusUnauthorized || strings.Contains(body, "tenon_wrong") {
		t.Errorf("a wrong key: %d %s", code, body)
	}
	code, body, _ := post(t, client, at+"/ui/signin", "key", secrets["ops"])
	if code != http.StatusOK || !strings.Contains(body, "menu") || !strings.Contains(body, "Sign out") || strings.Contains(body, secrets["ops"]) {
		t.Fatalf("signing in: %d %s", code, body)
	}
	// A key that is taken out of the file ends its sessions.
	_, other := server.NewSecret()
	only := "keys:\n- {name: other, scopes: [admin], sha256: " + other + ", created: 2026-01-01T00:00:00Z}\n"
	if err := os.WriteFile(path, []byte(only), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, body, _ := get(t, client, at+"/ui/"); strings.Contains(body, "menu") {
		t.Error("a revoked key still shows adapters")
	}
}

func TestSignOut(t *testing.T) {
	keys, _, secrets := keyring(t)
	at, client := site(t, newFake(t), keys)
	post(t, client, at+"/ui/signin", "key", secrets["ops"])
	if _, body, _ := get(t, client, at+"/ui/"); !strings.Contains(body, "menu") {
		t.Fatal("not signed in")
	}
	post(t, client, at+"/ui/signout")
	if _, body, _ := get(t, client, at+"/ui/"); strings.Contains(body, "menu") {
		t.Error("signed out, and still in")
	}
}

// What is another tenant's does not exist, and what a key does not allow is not done.
func TestTenants(t *testing.T) {
	keys, _, secrets := keyring(t)
	for _, test := range []struct {
		who, path string
		form      []string
		code      int
		sees      string
		not       string
	}{
		{"ops", "/ui/", nil, 200, "acme", ""},
		{"acme", "/ui/", nil, 200, "secret", ""},
		{"reader", "/ui/", nil, 200, "menu", "secret"},
		{"reader", "/ui/adapter?alias=acme/secret", nil, 422, "not a name", "eeee"},
		{"reader", "/ui/adapter?alias=secret", nil, 404, "no adapter is called", "acme"},
		{"reader", "/ui/adapter?alias=menu", nil, 200, "live now", "by ops"},
		{"acme", "/ui/adapter?alias=secret", nil, 200, "by ops", "alias=acme"},
		{"reader", "/ui/report?alias=secret", nil, 404, "no adapter is called", "acme"},
		{"reader", "/ui/compare", nil, 200, "menu", "secret"},
		{"reader", "/ui/complete", []string{"choice", "acme/secret", "prompt", "x", "tokens", "4"}, 404, "", ""},
		{"reader", "/ui/complete", []string{"choice", "generation " + digest("e"), "prompt", "x", "tokens", "4"}, 404, "", ""},
		{"acme", "/ui/complete", []string{"choice", "secret", "prompt", "x", "tokens", "8"}, 200, "from e", ""},
		{"reader", "/ui/unload", []string{"alias", "menu"}, 403, "scope activate", ""},
		{"acme", "/ui/unload", []string{"alias", "menu"}, 404, "no adapter is loaded", "acme/"},
		{"acme", "/ui/unload", []string{"alias", "secret"}, 200, "", ""},
		{"acme", "/ui/load", []string{"name", "mine", "ref", "mine"}, 200, "", ""},
		{"acme", "/ui/load", []string{"name", "mine", "ref", "../other"}, 403, "outside", ""},
	} {
		t.Run(test.who+test.path, func(t *testing.T) {
			f := newFake(t)
			at, client := site(t, f, keys)
			post(t, client, at+"/ui/signin", "key", secrets[test.who])
			var code int
			var body string
			if test.form == nil {
				code, body, _ = get(t, client, at+test.path)
			} else {
				code, body, _ = post(t, client, at+test.path, test.form...)
			}
			if code != test.code || !strings.Contains(body, test.sees) || test.not != "" && strings.Contains(body, test.not) {
				t.Errorf("status %d: %s", code, body)
			}
			if did := f.did(); (len(did) > 0) != (test.form != nil && test.code == 200 && !strings.Contains(test.path, "complete")) {
				t.Errorf("did %q", did)
			}
		})
	}
}
