package server

import (
	"encoding/hex"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// village is a server of two tenants and an operator, with an adapter of each.
func village(t *testing.T) (*fake, *Server, *keyring) {
	k := newKeys(t, "acme acme read,load,activate", "bolt bolt read,load,activate", "op - read,load,activate", "admin - admin")
	f := newFake(t)
	f.loaded["acme/own"] = modelOf("acme/own", "/acme/own")
	f.loaded["bolt/secret"] = modelOf("bolt/secret", "/bolt/secret")
	f.loaded["shared"] = modelOf("shared", "/op/shared")
	return f, newKeyed(f, k, slog.New(slog.DiscardHandler)), k
}

// TestStrangersAreUnknown asks everything that can be asked about another tenant's adapter, and the same about one that does not exist: the
// answers are the same but for the name, and so are the questions to the engine, which are all the work there is.
func TestStrangersAreUnknown(t *testing.T) {
	generation := GenerationName([]byte{0xab})
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api/v1/adapters/NAME", ""},
		{"GET", "/api/v1/adapters/NAME/history", ""},
		{"GET", "/api/v1/adapters/NAME/report", ""},
		{"GET", "/api/v1/adapters/NAME/report?format=html", ""},
		{"GET", "/api/v1/adapters/NAME/report?generation=" + generation, ""},
		{"POST", "/api/v1/adapters/NAME/activate", `{"generation":"` + generation + `"}`},
		{"POST", "/api/v1/adapters/NAME/rollback", `{}`},
		{"POST", "/api/v1/adapters/NAME/rollback", `{"generation":"` + generation + `"}`},
		{"DELETE", "/api/v1/adapters/NAME", ""},
		{"POST", "/v1/unload_lora_adapter", `{"lora_name":"NAME"}`},
		{"POST", "/v1/completions", `{"model":"NAME","prompt":"x"}`},
		{"GET", "/api/v1/adapters/bolt%2FNAME", ""},
		{"DELETE", "/api/v1/adapters/bolt%2FNAME", ""},
		{"POST", "/v1/completions", `{"model":"bolt/NAME","prompt":"x"}`},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			f, s, k := village(t)
			ask := func(name string) (string, http.Header, []string) {
				f.asked = nil
				replace := func(text string) string { return strings.ReplaceAll(text, "NAME", name) }
				w := as(t, s, k.secrets["acme"], c.method, replace(c.path), replace(c.body))
				if w.Code != 404 && w.Code != 400 {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				asked := strings.Split(strings.ReplaceAll(strings.Join(f.asked, "\n"), name, "NAME"), "\n")
				return strings.ReplaceAll(w.Body.String(), name, "NAME"), w.Header(), asked
			}
			strange, strangeHeader, strangeWork := ask("secret")
			unknown, unknownHeader, unknownWork := ask("ghosts")
			if strange != unknown || !slices.Equal(strangeWork, unknownWork) {
				t.Errorf("another tenant's gets\n%s\nafter %v, an unknown one\n%s\nafter %v", strange, strangeWork, unknown, unknownWork)
			}
			for name := range strangeHeader {
				if strangeHeader.Get(name) != unknownHeader.Get(name) {
					t.Errorf("header %s: %q and %q", name, strangeHeader.Get(name), unknownHeader.Get(name))
				}
			}
			if _, ok := f.loaded["bolt/secret"]; !ok || strings.Contains(strings.Join(strangeWork, " "), "bolt/") {
				t.Errorf("the engine was asked for another tenant's: %v", strangeWork)
			}
		})
	}
}

// TestTenantsNames: what each sees, and under which names.
func TestTenantsNames(t *testing.T) {
	for _, c := range []struct{ key, models, generations string }{
		{"acme", "tiny own shared", "own shared"},
		{"bolt", "tiny secret shared", "secret shared"},
		{"op", "tiny shared", "shared"},
		{"admin", "tiny acme/own bolt/secret shared", "acme/own bolt/secret shared"},
	} {
		t.Run(c.key, func(t *testing.T) {
			_, s, k := village(t)
			var models modelList
			decode(t, as(t, s, k.secrets[c.key], "GET", "/v1/models", "").Body.String(), &models)
			var names []string
			for _, m := range models.Data {
				names = append(names, m.ID)
			}
			if got := strings.Join(names, " "); got != c.models {
				t.Errorf("models %s, want %s", got, c.models)
			}
			var adapters adapterList
			decode(t, as(t, s, k.secrets[c.key], "GET", "/api/v1/adapters", "").Body.String(), &adapters)
			names = []string{"tiny"}
			for _, a := range adapters.Adapters {
				names = append(names, a.Alias)
				if want := a.Alias == "shared" && (c.key == "acme" || c.key == "bolt"); a.Shared != want {
					t.Errorf("%s: shared %v", a.Alias, a.Shared)
				}
			}
			if got := strings.Join(names, " "); got != c.models {
				t.Errorf("adapters %s, want %s", got, c.models)
			}
			var generations generationList
			decode(t, as(t, s, k.secrets[c.key], "GET", "/api/v1/generations", "").Body.String(), &generations)
			if got := strings.Join(generations.Generations[0].Aliases, " "); got != c.generations {
				t.Errorf("generations %s, want %s", got, c.generations)
			}
			if n := generations.Generations[0].Requests; (n == 0) == (c.key == "admin") {
				t.Errorf("%d requests of everybody", n)
			}
		})
	}
}

// TestOwnBeforeShared: a tenant's own alias hides the shared one of the same name, for him alone, and only his own can be changed.
func TestOwnBeforeShared(t *testing.T) {
	f, s, k := village(t)
	acme, bolt := k.secrets["acme"], k.secrets["bolt"]
	model := func(secret string) string {
		w := as(t, s, secret, "POST", "/v1/completions", `{"model":"shared","prompt":"x"}`)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"model":"shared"`) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return f.requests[len(f.requests)-1].GetAlias()
	}
	if got := model(acme); got != "shared" {
		t.Errorf("it means %s", got)
	}
	for _, c := range []struct{ method, path, body string }{
		{"DELETE", "/api/v1/adapters/shared", ""}, {"POST", "/v1/unload_lora_adapter", `{"lora_name":"shared"}`},
		{"POST", "/api/v1/adapters/shared/rollback", "{}"},
	} {
		if w := as(t, s, acme, c.method, c.path, c.body); w.Code != 404 {
			t.Errorf("%s %s: %d", c.method, c.path, w.Code)
		}
	}
	w := as(t, s, acme, "POST", "/api/v1/adapters/shared", `{"ref":"/acme/mine"}`)
	if w.Code != 200 || f.loaded["acme/shared"].Root != "/acme/mine" || f.loaded["shared"].Root != "/op/shared" || strings.Contains(w.Body.String(), "acme/shared") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if want := (Actor{Name: "acme", Tenant: "acme"}); f.actor != want {
		t.Errorf("the engine takes %v for the actor", f.actor)
	}
	if got, other := model(acme), model(bolt); got != "acme/shared" || other != "shared" {
		t.Errorf("it means %s, and %s to the other tenant", got, other)
	}
	var models modelList
	decode(t, as(t, s, acme, "GET", "/v1/models", "").Body.String(), &models)
	if len(models.Data) != 3 {
		t.Errorf("models %+v", models.Data)
	}
	if w := as(t, s, acme, "DELETE", "/api/v1/adapters/shared", ""); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := model(acme); got != "shared" {
		t.Errorf("afterwards it means %s", got)
	}
	history := as(t, s, acme, "GET", "/api/v1/adapters/shared/history", "").Body.String()
	if strings.Contains(history, `"actor"`) || !strings.Contains(history, `"activate"`) {
		t.Errorf("the shared one's history: %s", history)
	}
	if w := as(t, s, k.secrets["admin"], "DELETE", "/api/v1/adapters/bolt%2Fsecret", ""); w.Code != 200 {
		t.Errorf("an admin: %d %s", w.Code, w.Body)
	}
}

// TestRoot: a key with a root loads from inside of it, and what is outside gets one answer.
func TestRoot(t *testing.T) {
	dir := t.TempDir()
	root, other := filepath.Join(dir, "acme"), filepath.Join(dir, "bolt")
	for _, path := range []string{filepath.Join(root, "a"), other} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"out": other, "in": filepath.Join(root, "a")} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		ref, want string // "" is refused
	}{
		{filepath.Join(root, "a"), filepath.Join(root, "a")}, {"a", filepath.Join(root, "a")}, {"file://" + root + "/a", filepath.Join(root, "a")},
		{"in", filepath.Join(root, "a")}, {"a/../a", filepath.Join(root, "a")}, {"new", filepath.Join(root, "new")},
		{other, ""}, {"../bolt", ""}, {root + "/../bolt", ""}, {"out", ""}, {root + "x", ""}, {"/etc/passwd", ""}, {dir + "/nothing", ""},
		{"hf://org/name", ""}, {"oci://a/b", ""}, {"a\x00", ""},
	} {
		got, err := Principal{root: root}.Within(c.ref)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q is %q, %v", c.ref, got, err)
		}
		if err != nil && toAPI(err).status != 403 {
			t.Errorf("%q: %v", c.ref, err)
		}
	}
	if got, err := (Principal{}).Within("/etc"); got != "/etc" || err != nil {
		t.Errorf("without a root: %q %v", got, err)
	}
}

func TestQualified(t *testing.T) {
	for alias, ok := range map[string]bool{"x": true, "acme/x": true, "/x": false, "acme/": false, "a/b/c": false, "../x": false, "acme/tiny": false, "tiny": false, "": false} {
		if err := CheckQualified(alias, "tiny"); (err == nil) != ok {
			t.Errorf("%q: %v", alias, err)
		}
	}
	secret, digest := NewSecret()
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 || !IsSecret(secret) || IsSecret(secret+"x") || IsSecret("x"+secret) {
		t.Errorf("%s", digest)
	}
	if err := CheckAlias("a"+secret, "tiny"); fault.All(err)[0].Code != fault.ADName || strings.Contains(err.Error(), secret) {
		t.Errorf("%v", err)
	}
}
