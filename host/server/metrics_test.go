package server

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
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
	f.verdict = "deny"
	do(t, s, "/v1/load_lora_adapter", `{"lora_name":"bad","lora_path":"/a"}`)
	f.status = Status{Ready: false, Restarts: 3, Running: 2, Waiting: 1}
	got := scrape(t, s)
	for name, want := range map[string]float64{
		"tenon_http_requests_total{path=/v1/completions;status=200}":       1,
		"tenon_http_requests_total{path=/v1/completions;status=400}":       1,
		"tenon_http_requests_total{path=/v1/load_lora_adapter;status=422}": 1,
		"tenon_http_requests_total{path=other;status=404}":                 1,
		"tenon_http_request_duration_seconds{path=/v1/completions}":        2,
		"tenon_tokens_total{kind=prompt}":                                  2,
		"tenon_tokens_total{kind=generated}":                               4,
		"tenon_adapter_loads_total{verdict=admit}":                         1,
		"tenon_adapter_loads_total{verdict=deny}":                          1,
		"tenon_backend_up{}":                                               0,
		"tenon_backend_restarts_total{}":                                   3,
		"tenon_backend_requests_running{}":                                 2,
		"tenon_backend_requests_waiting{}":                                 1,
		"tenon_adapters{}":                                                 1,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v (%v), want %v", name, value, ok, want)
		}
	}
	if at := got["vllm:lora_requests_info{max_lora=4;running_lora_adapters=;waiting_lora_adapters=}"]; time.Since(time.Unix(int64(at), 0)) > time.Hour {
		t.Errorf("vllm:lora_requests_info is %v in %v", at, got)
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
