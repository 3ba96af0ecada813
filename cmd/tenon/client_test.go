package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const generationA, generationB = "sha256:aaaabbbb00000000000000000000000000000000000000000000000000000000", "sha256:aaaacccc00000000000000000000000000000000000000000000000000000000"

// standIn answers as a server would, and notes what it was asked.
func standIn(t *testing.T, answers map[string]string) (url string, asked *[]string) {
	t.Helper()
	asked = new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		*asked = append(*asked, strings.TrimSpace(r.Method+" "+r.URL.EscapedPath()+" "+body.String()))
		answer, ok := answers[r.Method+" "+r.URL.EscapedPath()]
		if !ok {
			if strings.Contains(r.URL.Path, "/first/") {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"error":{"message":"NAME: \"first\" has no earlier generation (unload it to serve the base alone)","type":"x","param":null,"code":"NAME"}}`))
				return
			}
			w.WriteHeader(http.StatusNotFound)
			answer = `{"error":{"message":"no adapter is called \"x\"","type":"not_found_error","param":"alias","code":"IO_NOT_FOUND"}}`
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// TestClient runs the client commands against a server that answers with what is hostile or long.
func TestClient(t *testing.T) {
	long := strings.Repeat("n", 128)
	adapter := `{"alias":"` + long + `","shared":true,"state":"failed","failure":"the file ` + strings.Repeat("is gone ", 30) + `\u001b[31m","digest":"` + generationA +
		`","generation":"` + generationA + `","verdict":"inconclusive","mode":"unmerged","modeReason":"as the load asked","bytes":123456789012,"loadedAt":"2026-01-02T03:04:05.678Z","history":12}`
	answers := map[string]string{
		"GET /api/v1/status": `{"name":"cpu 1","device":"x","state":"ready","memoryUsed":5000000,"memoryLimit":0}`,
		"GET /api/v1/adapters/x/history": `{"alias":"x","history":[{"sequence":0,"time":"2026-01-02T03:04:05Z","action":"stage","state":"staged","generation":"` + generationB +
			`"},{"sequence":7,"time":"2026-01-02T03:04:05Z","actor":"` + long + `","action":"activate","state":"live","generation":"` + generationA + `","verdict":"admit"}]}`,
		"POST /api/v1/adapters/x": `{"adapter":` + adapter + `,"report":null}`,
		"POST /api/v1/adapters/w": `{"adapter":` + adapter + `,"report":{"verdict":"warn","findings":[{"code":"WEAK","severity":"warn"},{"code":"NOTE","severity":"info"},` +
			`{"code":"BROAD","severity":"warn"}]}}`,
		"GET /api/v1/adapters": `{"backend":{"name":"cpu 1","state":"ready"},"base":{"name":"tiny","digest":"` + generationA + `"},"adapters":[` + adapter + `,` +
			strings.Replace(strings.Replace(adapter, long, "y", 1), `"failure"`, `"was"`, 1) + `]}`,
		"POST /api/v1/adapters/x/activate": adapter,
		"POST /api/v1/adapters/x/rollback": adapter,
		"DELETE /api/v1/adapters/acme%2Fx": `{"alias":"acme/x"}`,
		"GET /api/v1/events":               ": hello\n\nid: 5\nevent: live\ndata: {\"id\":5,\"time\":\"2026-01-02T03:04:05Z\",\"kind\":\"live\",\"alias\":\"x\",\"message\":\"a\\u001b[2J\u202eb\"}\n\n",
	}
	for _, c := range []struct {
		args  string
		code  int
		has   string // of stdout, or of stderr where the code is not 0
		asked string // the last request
	}{
		{"ps", 0, "failed", ""},
		{"ps", 0, "y is unmerged: as the load asked", ""},
		{"ps -o json", 0, `"state": "failed"`, ""},
		{"status", 0, "5 MB of generations, no limit", ""},
		{"history x", 0, "stage", ""},
		{"load x /a", 0, "x is live", `POST /api/v1/adapters/x {"mode":"auto","ref":"/a","staged":false}`},
		{"load x /a --stage --mode unmerged", 0, "make it live: tenon activate x " + generationA, `POST /api/v1/adapters/x {"mode":"unmerged","ref":"/a","staged":true}`},
		{"load x /a --mode fast", 2, "fast", ""},
		{"load w /a", 0, "w is live with 2 warnings: BROAD, WEAK\n", ""},
		{"load x /a -o json", 0, `"generation": "` + generationA, ""},
		{"load x /a -o yaml", 2, "yaml", ""},
		{"activate x aaaac -o json", 0, `"alias"`, ""},
		{"activate x aaa", 2, "at least 4 digits", ""},
		{"activate z aaaa", 3, "tenon ps", ""},
		{"history z", 3, "tenon ps", ""},
		{"history x", 0, "a restart of the server forgets what is staged", ""},
		{"rollback x -o json", 0, `"alias"`, ""},
		{"rollback z", 3, "tenon activate NAME GENERATION", ""},
		{"rollback first", 2, "--to takes any", ""},
		{"unload acme/x -o json", 0, `"alias": "acme/x"`, ""},
		{"ps --policy default", 2, "the server's policy decides", ""},
		{"load x /a --revoked file", 2, "the server's policy decides", ""},
		{"--cache-dir d status", 2, "it runs no diagnostics here", ""},
		{"bench serve --model x --requests 2", 3, `no adapter is called "x"`, ""},
		{"activate x aaaac", 0, "x is generation aaaabbbb", `POST /api/v1/adapters/x/activate {"generation":"` + generationB + `"}`},
		{"activate x " + generationB, 0, "x is", `POST /api/v1/adapters/x/activate {"generation":"` + generationB + `"}`},
		{"activate x aaaa", 2, "more than one", ""},
		{"activate x dddd", 2, "no generation that x has had", ""},
		{"rollback x", 0, "again", "POST /api/v1/adapters/x/rollback {}"},
		{"rollback x --to aaaab", 0, "again", `POST /api/v1/adapters/x/rollback {"generation":"` + generationA + `"}`},
		{"unload acme/x", 0, "acme/x is unloaded", "DELETE /api/v1/adapters/acme%2Fx"},
		{"unload x", 3, "IO_NOT_FOUND", "DELETE /api/v1/adapters/x"},
		{"events", 3, "ended the feed", "GET /api/v1/events"},
	} {
		t.Run(c.args, func(t *testing.T) {
			url, asked := standIn(t, answers)
			var stdout, stderr bytes.Buffer
			code := run(append(strings.Fields(c.args), "--server", url), &stdout, &stderr)
			text := stdout.String()
			if c.code != 0 {
				text = stderr.String()
			}
			if code != c.code || !strings.Contains(text, c.has) {
				t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
			}
			if c.asked != "" && (*asked)[len(*asked)-1] != c.asked {
				t.Errorf("it asked %q", *asked)
			}
			if all := stdout.String() + stderr.String(); strings.ContainsAny(all, "\x1b\u202e") {
				t.Errorf("foreign text is printed as it is: %q", all)
			}
			for line := range strings.Lines(stdout.String()) {
				if len([]rune(strings.TrimSpace(line))) > columns && !strings.Contains(line, long) && !strings.Contains(line, "make it live") && !strings.Contains(c.args, "json") {
					t.Errorf("%d columns: %s", len(line), line)
				}
			}
		})
	}
}

// TestKeyStaysHere: the key goes to the server that was named, and not to one that it points to.
func TestKeyStaysHere(t *testing.T) {
	var stolen string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.Header.Get("Authorization") + "!" }))
	defer thief.Close()
	sent := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	c, err := newClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.secret = "tenon_x"
	if _, err := c.call(context.Background(), "/api/v1/status", nil, nil); err == nil || sent != "Bearer tenon_x" || stolen != "" {
		t.Errorf("error %v, the server got %q, the other one %q", err, sent, stolen)
	}
}

// TestServersThatAreNotMeant: a server that speaks TLS, or not, or shows a certificate that nobody knows, is said to be this and not to be away.
func TestServersThatAreNotMeant(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
	plain, secure := httptest.NewServer(hello), httptest.NewUnstartedServer(hello)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		has  string
	}{
		{"ps --server " + strings.Replace(secure.URL, "https", "http", 1), 3, "speaks https\n       ask with --server " + secure.URL},
		{"events --server " + strings.Replace(secure.URL, "https", "http", 1), 3, "speaks https"},
		{"bench serve --model x --requests 1 --server " + strings.Replace(secure.URL, "https", "http", 1), 3, "speaks https"},
		{"bench serve --model x --requests 1 --server " + secure.URL, 3, "--ca, or TENON_CA"},
		{"bench serve --model x --requests 1 --server http://127.0.0.1:1", 3, "no server answers"},
		{"ps --server " + strings.Replace(plain.URL, "http", "https", 1), 3, "does not speak https"},
		{"ps --server " + secure.URL, 3, "--ca, or TENON_CA"},
		{"status --server " + strings.Replace(secure.URL, "127.0.0.1", "localhost", 1) + " --ca " + ca, 3, "another host's"},
		{"status --server " + secure.URL + " --ca " + ca, 0, ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(strings.Fields(c.args), &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.has) {
				t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
			}
			if strings.Contains(stderr.String(), "tenon serve") != strings.Contains(c.has, "no server answers") {
				t.Errorf("it says to start a server: %s", &stderr)
			}
			if strings.Contains(stdout.String(), "0.0 a second") {
				t.Errorf("what was not measured is 0: %s", &stdout)
			}
		})
	}
}
