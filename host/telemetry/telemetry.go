// Package telemetry tells where the time goes: each step of the flow is a span, which a collector of traces can have, and a duration, which
// the metrics have. A trace goes on in the backend's process.
//
// Traces are exported where the environment names a collector, by the variables of OpenTelemetry: OTEL_EXPORTER_OTLP_ENDPOINT and its kin.
package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"

	"github.com/tenon-ml/tenon/host/fault"
)

// The steps of the flow.
const (
	StepOpen     = "open"     // read an adapter and bind it to the base
	StepCheck    = "check"    // run the diagnostics and decide
	StepStage    = "stage"    // have the backend compute the generation
	StepVerify   = "verify"   // hold what it computed against the merge
	StepKeep     = "keep"     // put the adapter and the report into the store
	StepCommit   = "commit"   // write the activation down
	StepSwap     = "swap"     // have the backend turn the alias
	StepRollback = "rollback" // a way back, as a whole
	StepRestore  = "restore"  // bring a backend that started again to where the last one was
)

// stepScope marks the spans that are steps.
const stepScope = "github.com/tenon-ml/tenon/step"

// Options of Start.
type Options struct {
	Service string // as the collector lists it
	Version string
	OnStep  func(step string, took time.Duration, failed bool) // may be nil
	Often   bool                                               // export each second, rather than each five
	Also    []trace.SpanProcessor                              // besides, for tests
}

// Exporting reports whether the environment names a collector.
func Exporting() bool {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		if os.Getenv(name) != "" {
			return os.Getenv("OTEL_SDK_DISABLED") != "true"
		}
	}
	return false
}

// Start makes spans of this process be counted, and exported where somebody wants them. The result ends that, and sends what is left.
func Start(ctx context.Context, o Options) (stop func(context.Context) error, err error) {
	described, err := resource.Merge(resource.NewSchemaless(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)), resource.Environment())
	if err != nil {
		return nil, fault.New(fault.UsageFlag, "OTEL_RESOURCE_ATTRIBUTES cannot be used").Wrap(err)
	}
	options := []trace.TracerProviderOption{trace.WithResource(described)}
	if o.OnStep != nil {
		options = append(options, trace.WithSpanProcessor(counter{o.OnStep}))
	}
	for _, p := range o.Also {
		options = append(options, trace.WithSpanProcessor(p))
	}
	if Exporting() {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fault.New(fault.UsageFlag, "traces cannot be exported").Wrap(err).Fix("check OTEL_EXPORTER_OTLP_ENDPOINT")
		}
		var batches []trace.BatchSpanProcessorOption
		if o.Often {
			batches = append(batches, trace.WithBatchTimeout(time.Second))
		}
		options = append(options, trace.WithBatcher(exporter, batches...))
	}
	provider := trace.NewTracerProvider(options...)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return provider.Shutdown, nil
}

// Step begins a step, about what is said of it. Its end is told whether it failed.
func Step(ctx context.Context, name string, about ...slog.Attr) (context.Context, func(*error)) {
	ctx, span := otel.Tracer(stepScope).Start(ctx, name)
	for _, a := range about {
		span.SetAttributes(attribute.String(a.Key, a.Value.String()))
	}
	return ctx, func(failed *error) {
		if err := *failed; err != nil {
			span.SetStatus(codes.Error, string(codeOf(err)))
		}
		span.End()
	}
}

// codeOf names an error without its text, which may hold what is not for a collector.
func codeOf(err error) fault.Code {
	if all := fault.All(err); len(all) > 0 {
		return all[0].Code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Canceled
	}
	return "error"
}

// counter hears of steps as they end.
type counter struct {
	onStep func(string, time.Duration, bool)
}

var _ trace.SpanProcessor = counter{}

func (counter) OnStart(context.Context, trace.ReadWriteSpan) {}
func (counter) Shutdown(context.Context) error               { return nil }
func (counter) ForceFlush(context.Context) error             { return nil }

func (c counter) OnEnd(s trace.ReadOnlySpan) {
	if s.InstrumentationScope().Name == stepScope {
		c.onStep(s.Name(), s.EndTime().Sub(s.StartTime()), s.Status().Code == codes.Error)
	}
}

// Backend makes a backend's process go on with the host's traces, where somebody collects them: options for its server. What is left to be sent
// when the process ends is lost, since a backend is ended from outside; spans are sent each second.
func Backend(service, version string) []grpc.ServerOption {
	if !Exporting() {
		return nil
	}
	if _, err := Start(context.Background(), Options{Service: service, Version: version, Often: true}); err != nil {
		slog.Warn("this backend sends no traces", "cause", err)
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler())}
}

// Handler makes each request a span, a part of its client's trace where there is one. name gives what is asked for, which must be one of few.
func Handler(next http.Handler, name func(*http.Request) string) http.Handler {
	return otelhttp.NewHandler(next, "request", otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method + " " + name(r) }))
}

// DialOptions make the host's calls carry its traces.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler())}
}
