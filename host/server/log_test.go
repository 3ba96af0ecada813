package server

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/telemetry"
)

// TestLog looks at every line of requests that go well and badly: it says who asked, in which trace and about what, and neither a text nor the
// secret of a key is in it.
func TestLog(t *testing.T) {
	stop, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t.Context())
	k := newKeys(t, "ada acme read,load,activate")
	f := newFake(t)
	var log bytes.Buffer
	s := newKeyed(f, k, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	const text = "xylophone"
	secret := k.secrets["ada"]
	generation := modelOf("", "").Generation
	who := []string{"actor=ada", "tenant=acme", "trace="}
	for _, test := range []struct {
		name, method, path, body string
		prepare                  func()
		lines                    [][]string // what is in each of them besides who
	}{
		{name: "load", method: http.MethodPost, path: "/v1/load_lora_adapter", body: `{"lora_name":"chat","lora_path":"/a"}`,
			lines: [][]string{{"msg=request", "method=POST", "path=/v1/load_lora_adapter", "status=200"}}},
		{name: "completion", method: http.MethodPost, path: "/v1/completions", body: `{"model":"chat","prompt":"` + text + `"}`,
			lines: [][]string{{"msg=request", "status=200", "generation=" + generation}}},
		{name: "wrong completion", method: http.MethodPost, path: "/v1/completions", body: `{"model":"chat","prompt":"` + text + `","n":"` + text + `"}`,
			lines: [][]string{{"msg=request", "status=400"}}},
		{name: "failing stream", method: http.MethodPost, path: "/v1/completions", body: `{"model":"chat","prompt":"` + text + `","stream":true}`,
			prepare: func() { f.fail = io.ErrUnexpectedEOF },
			lines:   [][]string{{`msg="stream failed"`, "generation=" + generation}, {"msg=request", "status=200", "generation=" + generation}}},
		{name: "failing completion", method: http.MethodPost, path: "/v1/completions", body: `{"model":"chat","prompt":"` + text + `"}`,
			lines: [][]string{{`msg="request failed"`, "status=500"}, {"msg=request", "status=500"}}},
		{name: "a secret in the path", method: http.MethodGet, path: "/api/v1/adapters/" + secret,
			lines: [][]string{{"msg=request", "status=40"}}},
		{name: "a secret as the adapter", method: http.MethodPost, path: "/v1/load_lora_adapter", body: `{"lora_name":"chat","lora_path":"/` + secret + `"}`,
			lines: [][]string{{`msg="load failed"`}, {"msg=request", "status=400"}}},
		{name: "failing load", method: http.MethodPost, path: "/v1/load_lora_adapter", body: `{"lora_name":"chat","lora_path":"/a"}`,
			prepare: func() { f.loadErr = fault.New(fault.BackendDown, "it died with %s", secret) },
			lines:   [][]string{{`msg="load failed"`, "level=ERROR", "alias=chat", "ref=/a", "status=503", "code=IO_BACKEND", `cause="IO_BACKEND: it died`}, {"msg=request", "status=503"}}},
		{name: "unload", method: http.MethodDelete, path: "/api/v1/adapters/chat",
			lines: [][]string{{"msg=request", "method=DELETE", "path=/api/v1/adapters/chat", "status=200"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.prepare != nil {
				test.prepare()
			}
			log.Reset()
			as(t, s, secret, test.method, test.path, test.body)
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if len(lines) != len(test.lines) {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), len(test.lines), &log)
			}
			for i, line := range lines {
				for _, want := range append(who, test.lines[i]...) {
					if !strings.Contains(line, want) {
						t.Errorf("%q is not in %s", want, line)
					}
				}
				if strings.Count(line, "tenant=") != 1 || strings.Contains(line, text) || strings.Contains(line, secret) || strings.Contains(line, "Bearer") {
					t.Errorf("the line says what it must not: %s", line)
				}
			}
		})
	}
	log.Reset()
	as(t, s, secret, http.MethodPost, "/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"/\u202e\u001b[31m b"}`)
	if want := `/\\u202e\\x1b[31m b`; !strings.Contains(log.String(), want) {
		t.Errorf("%s is not in %s", want, &log)
	}
	log.Reset()
	as(t, s, "", http.MethodGet, "/api/v1/adapters", "")
	if strings.Contains(log.String(), "actor=") {
		t.Errorf("somebody without a key is named: %s", &log)
	}
}
