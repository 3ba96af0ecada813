package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
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
		`","generation":"` + generationA + `","verdict":"inconclusive","mode":"unmerged","bytes":123456789012,"loadedAt":"2026-01-02T03:04:05.678Z","history":12}`
	answers := map[string]string{
		"GET /api/v1/adapters": `{"backend":{"name":"cpu 1","state":"ready"},"base":{"name":"tiny","digest":"` + generationA + `"},"adapters":[` + adapter + `]}`,
		"GET /api/v1/status":   `{"name":"cpu 1","device":"x","state":"ready","memoryUsed":5000000,"memoryLimit":0}`,
		"GET /api/v1/adapters/x/history": `{"alias":"x","history":[{"sequence":0,"time":"2026-01-02T03:04:05Z","action":"stage","state":"staged","generation":"` + generationB +
			`"},{"sequence":7,"time":"2026-01-02T03:04:05Z","actor":"` + long + `","action":"activate","state":"live","generation":"` + generationA + `","verdict":"admit"}]}`,
		"POST /api/v1/adapters/x":          `{"adapter":` + adapter + `,"report":null}`,
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
		{"ps -o json", 0, `"state": "failed"`, ""},
		{"status", 0, "5 MB of generations, no limit", ""},
		{"history x", 0, "stage", ""},
		{"load x /a", 0, "x is live", `POST /api/v1/adapters/x {"mode":"auto","ref":"/a","staged":false}`},
		{"load x /a --stage --mode unmerged", 0, "make it live: tenon activate x " + generationA, `POST /api/v1/adapters/x {"mode":"unmerged","ref":"/a","staged":true}`},
		{"load x /a --mode fast", 2, "fast", ""},
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
