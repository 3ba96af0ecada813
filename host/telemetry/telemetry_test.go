package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tenon-ml/tenon/host/fault"
)

// A step is counted with its name and its end; what is no step is not.
func TestStepsAreCounted(t *testing.T) {
	var heard []string
	recorded := tracetest.NewSpanRecorder()
	stop, err := Start(t.Context(), Options{Service: "test", Also: []trace.SpanProcessor{recorded}, OnStep: func(step string, took time.Duration, failed bool) {
		heard = append(heard, fmt.Sprintf("%s%t%t", step, took >= 0, failed))
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{nil, fault.New(fault.IOSpace, "a secret place"), context.Canceled, errors.New("what")} {
		outer, end := Step(t.Context(), StepStage, slog.String("generation", "g"))
		_, inner := Step(outer, StepVerify)
		var none error
		inner(&none)
		end(&err)
	}
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "verifytruefalse stagetruefalse verifytruefalse stagetruetrue verifytruefalse stagetruetrue verifytruefalse stagetruetrue"; strings.Join(heard, " ") != want {
		t.Errorf("heard %q", heard)
	}
	var codes []string
	for _, span := range recorded.Ended() {
		if span.Name() == StepStage {
			codes = append(codes, span.Status().Description)
		} else if !span.Parent().IsValid() {
			t.Error("a step within a step is not a part of it")
		}
	}
	if strings.Join(codes, ",") != ",IO_SPACE,IO_CANCELED,error" {
		t.Errorf("codes %q", codes)
	}
}

// Where the environment names a collector it gets the spans.
func TestExport(t *testing.T) {
	var mu sync.Mutex
	var got []byte
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, body...)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	if !Exporting() {
		t.Fatal("the variable is not seen")
	}
	stop, err := Start(t.Context(), Options{Service: "tenon-under-test"})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/tenants/secret?key=secret", nil)
	r.Header.Set("User-Agent", "secret")
	r, done := Request(r, "/v1/tenants/{tenant}")
	_, end := Step(r.Context(), StepSwap)
	var none error
	end(&none)
	done(http.StatusOK)
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, text := range []string{"tenon-under-test", StepSwap, "POST /v1/tenants/{tenant}"} {
		if !bytes.Contains(got, []byte(text)) {
			t.Errorf("the collector did not get %q", text)
		}
	}
	if bytes.Contains(got, []byte("secret")) {
		t.Errorf("the collector got what is none of its business: %q", got)
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if Exporting() {
		t.Error("exporting, though it is switched off")
	}
}

func TestLogLinesSayWhoAsked(t *testing.T) {
	stop, err := Start(t.Context(), Options{Service: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t.Context())
	var out bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&out, nil), func(context.Context) []slog.Attr { return []slog.Attr{slog.String("tenant", "acme")} }))
	ctx, end := Step(t.Context(), StepOpen)
	log.With("digest", "d").InfoContext(ctx, "one")
	log.WithGroup("g").Info("two")
	var none error
	end(&none)
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "digest=d trace=") || !strings.Contains(lines[0], "tenant=acme") || strings.Contains(lines[1], "trace=") || !strings.Contains(lines[1], "g.tenant=acme") {
		t.Errorf("%q", lines)
	}
}

// A request is a part of its client's trace. A client that wants no traces is counted all the same.
func TestRequests(t *testing.T) {
	counted := 0
	recorded := tracetest.NewSpanRecorder()
	stop, err := Start(t.Context(), Options{Service: "test", Also: []trace.SpanProcessor{recorded}, OnStep: func(string, time.Duration, bool) { counted++ }})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t.Context())
	const client = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, test := range []struct {
		method, parent string
		status         int
		name, trace    string // "": there is no span
	}{
		{"GET", "00-" + client + "-00f067aa0ba902b7-01", 200, "GET /x/{y}", client},
		{"GET", "00-" + client + "-00f067aa0ba902b7-00", 200, "", ""},
		{"MADEUP", "", 500, "_OTHER /x/{y}", "any"},
		{"GET", "nonsense", 200, "GET /x/{y}", "any"},
	} {
		recorded.Reset()
		before := counted
		r := httptest.NewRequest(test.method, "/x/1", nil)
		r.Header.Set("Traceparent", test.parent)
		r, end := Request(r, "/x/{y}")
		_, over := Step(r.Context(), StepOpen, slog.String("adapter", "d"))
		over(new(error))
		end(test.status)
		if counted != before+1 {
			t.Errorf("%s %s: the step was counted %d times", test.method, test.parent, counted-before)
		}
		spans := recorded.Ended()
		if test.name == "" {
			if len(spans) != 0 {
				t.Errorf("%s: %d spans, the client wants none", test.parent, len(spans))
			}
			continue
		}
		if len(spans) != 2 {
			t.Fatalf("%s: %d spans", test.parent, len(spans))
		}
		step, request := spans[0], spans[1]
		if request.Name() != test.name || step.Parent().SpanID() != request.SpanContext().SpanID() || (request.Status().Code == codes.Error) != (test.status == 500) {
			t.Errorf("%s: %s in %s, status %v", test.parent, step.Name(), request.Name(), request.Status())
		}
		if id := request.SpanContext().TraceID().String(); (test.trace == client) != (id == client) {
			t.Errorf("%s: the trace is %s", test.parent, id)
		}
	}
}
