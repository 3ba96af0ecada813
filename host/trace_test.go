package host

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/telemetry"
)

// steps are the names of a trace's spans that are steps of the flow, in the order in which they began.
func steps(t *testing.T, recorded *tracetest.SpanRecorder, within string) (names []string) {
	t.Helper()
	spans := recorded.Ended()
	slices.SortStableFunc(spans, func(a, b trace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	for _, outer := range spans {
		if outer.Name() != within {
			continue
		}
		for _, span := range spans {
			if span.SpanContext().TraceID() == outer.SpanContext().TraceID() && !strings.Contains(span.Name(), "/") && span.Name() != within {
				names = append(names, span.Name())
			}
		}
		return names
	}
	t.Fatalf("there is no span %q in %d", within, len(spans))
	return nil
}

// TestTraces follows a load, a way back and a backend's return: each is one trace, whose parts are the steps.
func TestTraces(t *testing.T) {
	recorded := tracetest.NewSpanRecorder()
	var mu sync.Mutex
	tally := map[string]int{}
	stop, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test", Also: []trace.SpanProcessor{recorded},
		OnStep: func(step string, _ time.Duration, failed bool) {
			mu.Lock()
			defer mu.Unlock()
			if failed {
				step += " failed"
			}
			tally[step]++
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t.Context())
	s := serveFast(t)
	front := server.New(s, server.Options{Log: slog.New(slog.DiscardHandler), BaseName: "base", Addr: "127.0.0.1:8321"})
	post := func(path, body string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8321"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		front.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	ref := filepath.Join(restaurant, "adapter")
	flow := []string{"load", "open", "check", "stage", "verify", "keep", "commit", "swap"}

	post("/v1/load_lora_adapter", `{"lora_name":"chat","lora_path":"`+ref+`"}`)
	if got := steps(t, recorded, "POST /v1/load_lora_adapter"); !slices.Equal(got, flow) {
		t.Errorf("a load is %v, want %v", got, flow)
	}
	for _, span := range recorded.Ended() {
		for _, a := range span.Attributes() {
			if strings.Contains(a.Value.Emit(), ref) || strings.Contains(a.Value.Emit(), "/chat") {
				t.Errorf("%s tells %s=%s", span.Name(), a.Key, a.Value.Emit())
			}
		}
	}
	load(t, s, "chat", otherAdapter(t))
	recorded.Reset()
	post("/api/v1/adapters/chat/rollback", `{}`)
	if got, want := steps(t, recorded, "POST /api/v1/adapters/{alias}/rollback"), []string{"rollback", "commit", "swap"}; !slices.Equal(got, want) {
		t.Errorf("a rollback is %v, want %v", got, want)
	}
	recorded.Reset()
	restart(t, s)
	if got, want := steps(t, recorded, "restore"), []string{"stage", "verify", "swap"}; !slices.Equal(got, want) {
		t.Errorf("a backend's return is %v, want %v", got, want)
	}
	mu.Lock()
	defer mu.Unlock()
	for step, want := range map[string]int{"load": 2, "open": 2, "check": 2, "keep": 2, "commit": 3, "rollback": 1, "restore": 1} {
		if tally[step] != want {
			t.Errorf("%s was counted %d times, want %d: %v", step, tally[step], want, tally)
		}
	}
}

// TestLoadsAreHeard: whoever asks for a load, its end is heard once.
func TestLoadsAreHeard(t *testing.T) {
	var heard []string
	s := serveWith(t, ServeOptions{OnLoad: func(loaded *server.Loaded, err error) {
		switch {
		case err != nil:
			heard = append(heard, string(fault.All(err)[0].Code))
		default:
			heard = append(heard, string(loaded.Report.Verdict))
		}
	}})
	defer end(t, s)
	ref := filepath.Join(restaurant, "adapter")
	load(t, s, "chat", ref)
	if _, err := s.Offer(t.Context(), server.Load{Alias: "watched", Ref: ref}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), server.Load{Alias: "no alias", Ref: ref}); err == nil {
		t.Error("a name that is none was taken")
	}
	broken := t.TempDir()
	for _, name := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		if err := os.WriteFile(filepath.Join(broken, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if loaded, err := s.Load(t.Context(), server.Load{Alias: "broken", Ref: broken}); err != nil || loaded.Report.Verdict.Open() {
		t.Errorf("a broken adapter is loaded: %v", err)
	}
	if want := []string{"admit", "admit", string(fault.ADName), "deny"}; !slices.Equal(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
}
