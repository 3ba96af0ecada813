package server

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// scrape parses GET /metrics into values by "name{label=value,…}".
func scrape(t *testing.T, s *Server) map[string]float64 {
	t.Helper()
	w := do(t, s, "/metrics", "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			key := name + "{" + strings.Join(labels, ";") + "}"
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f)
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"/a"}`)
	do(t, s, "/v1/completions", `{"model":"chat","prompt":"hello"}`)
	do(t, s, "/v1/completions", `{"model":"chat"}`)
	do(t, s, "/nowhere", "")
	do(t, s, "/v1/completions", `{"model":"chat","prompt":"hello","stream":true,"n":2}`)
	f.verdict = "deny"
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"bad","lora_path":"/a"}`)
	f.loadErr = fault.New(fault.BackendDown, "it died")
	do(t, s, "/api/v1/adapters/bad", `{"ref":"/a"}`)
	f.loaded["lost"] = Model{ID: "lost", Parent: "tiny", State: StateFailed}
	f.tally.Step("stage", time.Second, false)
	f.tally.Step("stage", time.Second, true)
	f.status = Status{Ready: false, Restarts: 3, Running: 2, Waiting: 1, MemoryUsed: 4096, MemoryLimit: 8192, CacheBytes: 512}
	got := scrape(t, s)
	for name, want := range map[string]float64{
		"tenon_http_requests_total{path=/v1/completions;status=200}":       2,
		"tenon_http_requests_total{path=/v1/completions;status=400}":       1,
		"tenon_http_requests_total{path=/v1/load_lora_adapter;status=422}": 1,
		"tenon_http_requests_total{path=other;status=404}":                 1,
		"tenon_http_request_duration_seconds{path=/v1/completions}":        3,
		"tenon_tokens_total{kind=prompt}":                                  4,
		"tenon_tokens_total{kind=generated}":                               12,
		"tenon_time_to_first_token_seconds{}":                              2, // one for a request, whatever it asks for, and none for a wrong one
		"tenon_adapter_loads_total{verdict=admit}":                         1,
		"tenon_adapter_loads_total{verdict=deny}":                          1,
		"tenon_adapter_loads_total{verdict=error}":                         1,
		"tenon_adapter_findings_total{code=AD_TARGET;severity=deny}":       1,
		"tenon_step_duration_seconds{outcome=ok;step=stage}":               1,
		"tenon_step_duration_seconds{outcome=failed;step=stage}":           1,
		"tenon_backend_up{}":                                               0,
		"tenon_backend_restarts_total{}":                                   3,
		"tenon_backend_requests_running{}":                                 2,
		"tenon_backend_requests_waiting{}":                                 1,
		"tenon_adapters{}":                                                 1,
		"tenon_generation_bytes{}":                                         4096,
		"tenon_generation_bytes_limit{}":                                   8192,
		"tenon_cache_bytes{}":                                              512,
		"tenon_generations{mode=merged;state=live}":                        1,
		"tenon_generation_requests{state=live}":                            3,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v (%v), want %v", name, value, ok, want)
		}
	}
	if at := got["vllm:lora_requests_info{max_lora=4;running_lora_adapters=;waiting_lora_adapters=}"]; time.Since(time.Unix(int64(at), 0)) > time.Hour {
		t.Errorf("vllm:lora_requests_info is %v in %v", at, got)
	}
}

// TestFindingsOfStrangers: a module of somebody else cannot make labels of what it likes, and what only informs is not counted.
func TestFindingsOfStrangers(t *testing.T) {
	f := newFake(t)
	s := newServer(t, f)
	rep := reportOf("/a", report.Deny)
	rep.Modules = []report.Module{{ID: "stranger", Origin: "/somewhere.wasm"}, {ID: "hygiene", Origin: report.BuiltIn}}
	rep.Findings = []report.Finding{
		{Code: "MADE_UP", Severity: report.DenySeverity, Module: "stranger"},
		{Code: "MODULE_NOTE", Severity: report.Info, Module: "hygiene"},
		{Code: "MODULE_WARNING", Severity: report.Warn, Module: "hygiene"},
	}
	f.tally.Load(&Loaded{Report: rep}, nil)
	var counted []string
	for name := range scrape(t, s) {
		if strings.HasPrefix(name, "tenon_adapter_findings_total") {
			counted = append(counted, name)
		}
	}
	if want := "tenon_adapter_findings_total{code=MODULE_WARNING;severity=warn}"; len(counted) != 1 || counted[0] != want {
		t.Errorf("counted %v, want %s", counted, want)
	}
}

// TestFirstToken: the time is that of the first token, and not that of the end.
func TestFirstToken(t *testing.T) {
	for path, body := range map[string]string{
		"/v1/completions":      `{"model":"tiny","prompt":"hello","stream":true}`,
		"/v1/chat/completions": `{"model":"tiny","messages":[{"role":"user","content":"hello"}]}`,
	} {
		f := newFake(t)
		f.script, f.fail = []int32{the, hello}, io.ErrUnexpectedEOF // it fails after its first tokens
		s := chatServer(t, f)
		do(t, s, path, body)
		if n := scrape(t, s)["tenon_time_to_first_token_seconds{}"]; n != 1 {
			t.Errorf("%s: %v first tokens were timed, want 1", path, n)
		}
	}
}

// TestRunningAdapters looks at the gauge and the list while a request runs and another one waits.
func TestRunningAdapters(t *testing.T) {
	f := newFake(t)
	f.block = make(chan struct{})
	s := newServer(t, f)
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"b","lora_path":"/a"}`)
	done := make(chan int)
	go func() { done <- do(t, s, "/v1/completions", `{"model":"b","prompt":"hello"}`).Code }()
	_, leave := s.traffic.enter("a", 1)
	for {
		if running, _ := s.traffic.of("b"); running == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got := scrape(t, s); got["vllm:lora_requests_info{max_lora=4;running_lora_adapters=b;waiting_lora_adapters=a}"] == 0 {
		t.Errorf("got %v", got)
	}
	if w := do(t, s, "/api/v1/adapters", ""); !strings.Contains(w.Body.String(), `"running":1,"waiting":0}]`) {
		t.Errorf("got %s", w.Body)
	}
	close(f.block)
	<-done
	leave()
	if len(s.traffic.count) != 0 {
		t.Errorf("left over: %v", s.traffic.count)
	}
}
