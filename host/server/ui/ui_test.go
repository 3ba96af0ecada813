package ui

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// site is the dashboard behind a real listener, and a browser's cookie jar.
func site(t *testing.T, engine server.Engine, keys *server.Keys) (string, *http.Client) {
	t.Helper()
	s := httptest.NewServer(front(engine, keys, server.Options{}).Handler())
	t.Cleanup(s.Close)
	return s.URL, visit(t)
}

// front is a server with the dashboard.
func front(engine server.Engine, keys *server.Keys, o server.Options) *server.Server {
	o.Log, o.BaseName, o.Addr, o.Keys = slog.New(slog.DiscardHandler), "tiny", "127.0.0.1:0", keys
	options := Options{Version: "test"}
	if keys != nil {
		options.SignIn = keys.Authenticate
	}
	o.UI = func(f server.Front) server.Dashboard { return New(f, options) }
	return server.New(engine, o)
}

// visit is a browser that has no cookies yet.
func visit(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// get reads a page.
func get(t *testing.T, client *http.Client, url string) (int, string, http.Header) {
	t.Helper()
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, answer)
}

// post sends a form.
func post(t *testing.T, client *http.Client, to string, fields ...string) (int, string, http.Header) {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	answer, err := client.PostForm(to, form)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, answer)
}

func read(t *testing.T, answer *http.Response) (int, string, http.Header) {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body), answer.Header
}

func TestPages(t *testing.T) {
	at, client := site(t, newFake(t), nil)
	for _, test := range []struct {
		path  string
		code  int
		says  []string
		never []string
	}{
		{"/ui/", 200, []string{"menu", "its bytes changed on disk", "6 MiB of 64 MiB", "started again 1×", `href="/ui/adapter?alias=acme%2fsecret"`}, nil},
		{"/ui/adapter?alias=menu", 200, []string{"Roll back to this", "Make it live", "live now", "Unload menu?"}, nil},
		{"/ui/adapter?alias=nobody", 404, []string{"That did not work"}, nil},
		{"/ui/report?alias=menu", 200, []string{"<svg"}, nil},
		{"/ui/compare?left=&right=menu&prompt=%3Cb%3E", 200, []string{"the base", `<option value="menu" selected>`, "&lt;b&gt;"}, []string{"<b>"}},
		{"/ui/nowhere", 404, nil, nil},
	} {
		t.Run(test.path, func(t *testing.T) {
			code, body, header := get(t, client, at+test.path)
			if code != test.code {
				t.Fatalf("status %d: %s", code, body)
			}
			for _, text := range test.says {
				if !strings.Contains(body, text) {
					t.Errorf("%q is not in the page:\n%s", text, body)
				}
			}
			for _, text := range append(test.never, "<script>window.attacked", "<img src=x", "\u202e", "\x1b") {
				if strings.Contains(body, text) {
					t.Errorf("%q is in the page", text)
				}
			}
			if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("policy %q", policy)
			}
			if strings.Contains(body, "onclick") || strings.Contains(body, "style=") && !strings.Contains(test.path, "report") {
				t.Error("the page has a script or a style in an attribute")
			}
		})
	}
}

func TestActions(t *testing.T) {
	f := newFake(t)
	at, client := site(t, f, nil)
	for _, test := range []struct {
		path   string
		fields []string
		code   int
		does   string
	}{
		{"/ui/rollback", []string{"alias", "menu", "generation", digest("b")}, 200, "rollback menu " + digest("b")},
		{"/ui/activate", []string{"alias", "menu", "generation", digest("d")}, 200, "activate menu " + digest("d")},
		{"/ui/load", []string{"name", "fresh", "ref", "/adapters/x", "mode", "unmerged", "staged", "1"}, 200, "load fresh by operator"},
		{"/ui/load", []string{"name", "../x", "ref", "/adapters/x"}, 422, ""},
		{"/ui/load", []string{"name", "tiny", "ref", "/adapters/x"}, 422, ""},
		{"/ui/load", []string{"name", "fresh"}, 422, ""},
		{"/ui/rollback", []string{"generation", digest("b")}, 422, ""},
		{"/ui/unload", []string{"alias", "menu"}, 200, "unload menu "},
	} {
		before := len(f.did())
		code, body, _ := post(t, client, at+test.path, test.fields...)
		if code != test.code {
			t.Errorf("%s %v: status %d: %s", test.path, test.fields, code, body)
		}
		if did := f.did()[before:]; test.does == "" && len(did) > 0 || test.does != "" && !slices.Equal(did, []string{test.does}) {
			t.Errorf("%s %v did %q, want %q", test.path, test.fields, did, test.does)
		}
	}
	if load := f.loads[0]; load.Mode != server.ModeUnmerged || !load.Staged || load.Ref != "/adapters/x" {
		t.Errorf("load %+v", load)
	}
	f.verdict = report.Deny
	if code, body, _ := post(t, client, at+"/ui/load", "name", "fresh", "ref", "/adapters/x"); code != 422 || !strings.Contains(body, `id="verdict"`) {
		t.Errorf("a refusal is answered with %d and no report", code)
	}
}

// A form on another site cannot press a button here.
func TestOtherSites(t *testing.T) {
	f := newFake(t)
	at, client := site(t, f, nil)
	request, err := http.NewRequest(http.MethodPost, at+"/ui/unload", strings.NewReader("alias=menu"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, _ := read(t, answer); code != http.StatusForbidden || len(f.did()) > 0 {
		t.Errorf("status %d, did %q", code, f.did())
	}
}

func TestComplete(t *testing.T) {
	at, client := site(t, newFake(t), nil)
	for _, test := range []struct {
		choice, tokens string
		code           int
		text, header   string
	}{
		{"", "16", 200, "the hello", "base"},
		{"menu", "16", 200, "the hello, from c", digest("c")},
		{"generation " + digest("b"), "16", 200, "the hello, from b", digest("b")},
		{"generation " + digest("7"), "16", 404, "", ""},
		{"broken", "16", 404, "", ""},
		{"", "0", 422, "", ""},
		{"", "257", 422, "", ""},
		{"", "x", 422, "", ""},
	} {
		code, body, header := post(t, client, at+"/ui/complete", "choice", test.choice, "prompt", "hello", "tokens", test.tokens)
		if code != test.code || code == 200 && (body != test.text || header.Get("X-Tenon-Generation") != test.header) {
			t.Errorf("%q: %d %q of %q", test.choice, code, body, header.Get("X-Tenon-Generation"))
		}
	}
	if code, _, _ := post(t, client, at+"/ui/complete", "choice", "", "prompt", strings.Repeat("hello ", 600), "tokens", "16"); code != 422 {
		t.Errorf("a prompt that is too long is answered with %d", code)
	}
}
