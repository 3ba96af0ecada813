package scenario

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collected is what a collector of traces was sent.
type collected struct {
	mu    sync.Mutex
	spans []span
	raw   strings.Builder
}

type span struct{ service, trace, name string }

// ServeHTTP implements http.Handler as an OTLP collector does.
func (c *collected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var sent collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &sent)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(body)
	for _, resource := range sent.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, span{service, hex.EncodeToString(s.GetTraceId()), s.GetName()})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// of lists "service name" of the spans of a trace.
func (c *collected) of(trace string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]bool{}
	for _, s := range c.spans {
		if s.trace == trace {
			names[s.service+" "+s.name] = true
		}
	}
	return names
}

// TestTraceThroughBothProcesses loads an adapter and completes a text with it, as a client that traces, while a collector listens: it gets the
// spans of the host and of the backend, in the client's traces, and neither a text nor a path.
func TestTraceThroughBothProcesses(t *testing.T) {
	got := &collected{}
	listens := httptest.NewServer(got)
	defer listens.Close()
	s := start(t, t.TempDir(), []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + listens.URL}, "--verbose")
	if s == nil {
		t.Fatal("it does not start")
	}
	s.ready()
	const prompt = "xylophone"
	adapter, err := filepath.Abs(first)
	if err != nil {
		t.Fatal(err)
	}
	const loading, completing = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
	for _, request := range []struct{ trace, path, body string }{
		{loading, "/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"` + adapter + `"}`},
		{completing, "/v1/completions", `{"model":"chat","prompt":"` + prompt + `","max_tokens":4}`},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+request.path, strings.NewReader(request.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Traceparent", "00-"+request.trace+"-00f067aa0ba902b7-01")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d\n%s", request.path, response.StatusCode, s.log)
		}
	}
	const service = "tenon-backend-cpu tenon.backend.v1.Backend/"
	want := map[string][]string{
		loading: {"tenon POST /v1/load_lora_adapter", "tenon load", "tenon open", "tenon check", "tenon stage", service + "Stage", "tenon verify", service + "Verify",
			"tenon keep", "tenon commit", "tenon swap", service + "Activate"},
		completing: {"tenon POST /v1/completions", service + "Generate"},
	}
	missing := func() (out []string) {
		for trace, names := range want {
			there := got.of(trace)
			for _, name := range names {
				if !there[name] {
					out = append(out, name)
				}
			}
		}
		return out
	}
	for range 300 { // the backend sends each second, and what it has not sent when it is ended is lost
		if len(missing()) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.stop()
	if names := missing(); len(names) > 0 {
		t.Errorf("the collector did not get %q; it got %v and %v\n%s", names, got.of(loading), got.of(completing), s.log)
	}
	for where, text := range map[string]string{"the traces": got.raw.String(), "the log": s.log.String()} {
		if strings.Contains(text, prompt) {
			t.Errorf("the prompt is in %s", where)
		}
	}
	if strings.Contains(got.raw.String(), adapter) {
		t.Error("the adapter's path is in the traces")
	}
	if !strings.Contains(s.log.String(), "trace="+loading) {
		t.Errorf("no line of the log names the trace:\n%s", s.log)
	}
}

// TestFirstLoadsAreCounted: what the command line loads, before anybody can ask, is in the metrics once, with its steps.
func TestFirstLoadsAreCounted(t *testing.T) {
	s := start(t, t.TempDir(), nil, "--adapter", "chat="+first)
	if s == nil {
		t.Fatal("it does not start")
	}
	s.ready()
	s.load("other", second)
	gauges := s.gauges()
	if n := gauges[`tenon_adapter_loads_total{verdict="admit"}`] + gauges[`tenon_adapter_loads_total{verdict="warn"}`]; n != 2 {
		t.Errorf("%v loads are counted, want 2", n)
	}
	for _, step := range []string{"load", "open", "check", "stage", "verify", "keep", "commit", "swap"} {
		if n := gauges[`tenon_step_duration_seconds_count{outcome="ok",step="`+step+`"}`]; n != 2 {
			t.Errorf("%v steps %s are counted, want 2", n, step)
		}
	}
	s.stop()
}
