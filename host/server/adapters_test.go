package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

func TestLoad(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f)
	w := do(t, s, "/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"/a/b","load_inplace":true,"base_model_name":"other"}`)
	if w.Code != 200 || w.Body.String() != "Success: LoRA adapter 'chat' added successfully." || w.Header().Get("X-Tenon-Verdict") != "admit" ||
		w.Header().Get("X-Tenon-Generation") != "sha256:ab" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	w = do(t, s, "/v1/completions", `{"model":"chat","prompt":"x"}`)
	if w.Code != 200 || w.Header().Get("X-Tenon-Generation") != "sha256:ab" || !strings.Contains(w.Body.String(), `"system_fingerprint":"sha256:ab"`) ||
		f.requests[0].GetAlias() != "chat" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	w = do(t, s, "/v1/models", "")
	want := `{"object":"list","data":[{"id":"tiny","object":"model","created":1600000000,"owned_by":"tenon","root":"/models/tiny","parent":null,` +
		`"max_model_len":64,"permission":[],"generation":"base"},{"id":"chat","object":"model","created":1700000000,"owned_by":"tenon",` +
		`"root":"/a/b","parent":"tiny","max_model_len":64,"permission":[],"generation":"sha256:ab"}]}` + "\n"
	if w.Body.String() != want {
		t.Errorf("got %s\nwant %s", w.Body, want)
	}
	w = do(t, s, "/api/v1/adapters", "")
	want = `{"backend":{"state":"ready","ready":true,"name":"fake 1","device":"none","restarts":0,"running":0,"waiting":0,"memoryUsed":0,` +
		`"memoryLimit":0,"cacheBytes":0},"base":{"name":"tiny","ref":"/models/tiny","digest":"sha256:bb"},"adapters":[{"alias":"chat",` +
		`"shared":false,"state":"live","ref":"/a/b","digest":"sha256:aa","generation":"sha256:ab","sequence":1,"verdict":"admit",` +
		`"mode":"merged","modeReason":"it fits","bytes":4096,"loadedAt":"2023-11-14T22:13:20Z","history":1,"running":0,"waiting":0}]}` + "\n"
	if w.Body.String() != want {
		t.Errorf("got %s\nwant %s", w.Body, want)
	}
	w = do(t, s, "/v1/unload_lora_adapter", `{"lora_name":"chat","lora_int_id":5}`)
	if w.Code != 200 || w.Body.String() != "Success: LoRA adapter 'chat' removed successfully." {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantError(t, do(t, s, "/v1/completions", `{"model":"chat","prompt":"x"}`), 404, fault.IONotFound, "model", "does not exist")
	wantError(t, do(t, s, "/v1/unload_lora_adapter", `{"lora_name":"chat"}`), 404, fault.IONotFound, "alias", "")
}

// TestRefusalOfStrangers: a client acts on the code of an answer, so a module of somebody else cannot choose it.
func TestRefusalOfStrangers(t *testing.T) {
	rep := &report.Report{Verdict: report.Deny, Modules: []report.Module{{ID: "mine", Origin: "mine.wasm"}, {ID: "hygiene", Origin: report.BuiltIn}},
		Findings: []report.Finding{{Code: string(fault.IORead), Severity: report.DenySeverity, Module: "mine"},
			{Code: string(fault.ADNoEffect), Severity: report.DenySeverity, Module: "hygiene"}}}
	var e *apiError
	if err := refused(rep); !errors.As(err, &e) || e.code != fault.ADNoEffect {
		t.Errorf("%+v, want %s", err, fault.ADNoEffect)
	}
}

func TestLoadRefused(t *testing.T) {
	for _, verdict := range []report.Verdict{report.Deny, report.Inconclusive} {
		t.Run(string(verdict), func(t *testing.T) {
			f := newFake(t)
			f.verdict = verdict
			w := do(t, newServer(t, f), "/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"/a/b"}`)
			wantError(t, w, 422, fault.ADTarget, "", "verdict "+string(verdict)+": target q_proj is not in the base")
			var body problem
			decode(t, w.Body.String(), &body)
			if body.Report == nil || body.Report.Verdict != verdict || len(body.Report.Findings) != 2 {
				t.Errorf("%s", w.Body)
			}
			if len(f.Models()) != 1 {
				t.Error("it is live")
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct {
		name, body string
		err        error
		status     int
		code       fault.Code
		param      string
	}{
		{"no name", `{"lora_path":"/a"}`, nil, 400, fault.ADName, "lora_name"},
		{"no path", `{"lora_name":"a"}`, nil, 400, fault.UsageFlag, "lora_path"},
		{"3D", `{"lora_name":"a","lora_path":"/a","is_3d_lora_weight":true}`, nil, 400, fault.UsageFlag, "is_3d_lora_weight"},
		{"unknown field", `{"lora_name":"a","lora_path":"/a","lora_nmae":"b"}`, nil, 400, fault.UsageFlag, "lora_nmae"},
		{"name twice", `{"lora_name":"a","lora_n\u0061me":"b","lora_path":"/a"}`, nil, 400, fault.UsageFlag, "lora_name"},
		{"no such path", `{"lora_name":"a","lora_path":"/a"}`, fault.New(fault.IONotFound, "no such directory"), 404, fault.IONotFound, ""},
		{"backend down", `{"lora_name":"a","lora_path":"/a"}`, fault.New(fault.BackendDown, "restarting"), 503, fault.BackendDown, ""},
		{"no space", `{"lora_name":"a","lora_path":"/a"}`, fault.New(fault.IOSpace, "the disk is full"), 503, fault.IOSpace, ""},
		{"no memory", `{"lora_name":"a","lora_path":"/a"}`, fault.New(fault.IOMemory, "no memory"), 503, fault.IOMemory, ""},
		{"cannot be read", `{"lora_name":"a","lora_path":"/a"}`, fault.New(fault.IORead, "EIO"), 500, fault.IORead, ""},
		{"bad adapter", `{"lora_name":"a","lora_path":"/a"}`, fault.List{fault.New(fault.ADRank, "r is 0")}, 422, fault.ADRank, ""},
		{"policy", `{"lora_name":"a","lora_path":"/a"}`, fault.New(fault.PolicyInvalid, "no"), 400, fault.PolicyInvalid, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t)
			f.loadErr = c.err
			wantError(t, do(t, newServer(t, f), "/v1/load_lora_adapter", c.body), c.status, c.code, c.param, "")
		})
	}
}

func TestAliases(t *testing.T) {
	for alias, ok := range map[string]bool{
		"a": true, "A.b-c_1": true, "0": true, strings.Repeat("a", 128): true,
		"": false, strings.Repeat("a", 129): false, "../x": false, "/etc": false, "a/b": false, "a\x00": false, "a\n": false, ".a": false, "-a": false,
		"a\u202eb": false, "\u0430dmin": false, "tiny": false, "a b": false,
	} {
		err := CheckAlias(alias, "tiny")
		if (err == nil) != ok {
			t.Errorf("%q: %v", alias, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x00\u202e") {
			t.Errorf("%q is not escaped in %q", alias, err)
		}
	}
}

// TestPaths checks that what is wrong with a path is said in JSON too.
func TestPaths(t *testing.T) {
	s := newServer(t, newFake(t))
	wantError(t, do(t, s, "/v1/nothing", ""), 404, fault.IONotFound, "", "no such path")
	wantError(t, do(t, s, "//v1/models", ""), 404, fault.IONotFound, "", "no such path")
	wantError(t, do(t, s, "/v1/completions", ""), 405, fault.UsageFlag, "", "use POST")
	wantError(t, do(t, s, "/v1/models", "{}"), 405, fault.UsageFlag, "", "use GET")
	wantError(t, do(t, s, "/v1/chat/completions", `{"model":"tiny","messages":[]}`), 400, fault.UsageFlag, "messages", "no chat template")
	if w := do(t, s, "/api/v1/version", ""); w.Body.String() != `{"version":"test","base":"tiny"}`+"\n" {
		t.Errorf("%s", w.Body)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodHead, "http://localhost/v1/models", nil))
	if w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

func TestHealth(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f)
	for _, ready := range []bool{true, false} {
		f.status = Status{Ready: ready, State: "restarting"}
		for path, needsBackend := range map[string]bool{"/health": true, "/readyz": true, "/livez": false} {
			w := do(t, s, path, "")
			if ok := ready || !needsBackend; ok && (w.Code != 200 || w.Body.String() != "ok") {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			} else if !ok {
				wantError(t, w, 503, fault.BackendDown, "", "restarting")
			}
		}
	}
}

// TestOneModel: what OpenAI's models.retrieve asks for, and vLLM's and SageMaker's small routes.
func TestOneModel(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f)
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"/a"}`)
	for id, parent := range map[string]string{"tiny": "", "chat": "tiny"} {
		var card struct {
			ID     string         `json:"id"`
			Parent *string        `json:"parent"`
			Rest   map[string]any `json:",embed"`
		}
		decode(t, do(t, s, "/v1/models/"+id, "").Body.String(), &card)
		if card.ID != id || (card.Parent == nil) != (parent == "") || card.Parent != nil && *card.Parent != parent {
			t.Errorf("%s is %+v", id, card)
		}
	}
	wantError(t, do(t, s, "/v1/models/nobody", ""), 404, fault.IONotFound, "model", "does not exist")
	if w := do(t, s, "/ping", ""); w.Code != 200 {
		t.Errorf("ping: %d", w.Code)
	}
	if w := do(t, s, "/version", ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"version":"test"}` {
		t.Errorf("version: %d %s", w.Code, w.Body)
	}
}
