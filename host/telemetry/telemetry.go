// Package telemetry tells where the time goes: each step of the flow is a span, which a collector of traces can have, and a duration, which
// the metrics have. A trace goes on in the backend's process.
//
// Traces are exported where the environment names a collector, by the variables of OpenTelemetry: OTEL_EXPORTER_OTLP_ENDPOINT and its kin.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

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
	StepLoad     = "load"     // a load, as a whole, and what it waits for
	StepRollback = "rollback" // a way back, as a whole
	StepRestore  = "restore"  // bring a host or a backend that started again to where the last one was
)

// scope is what says who made a span.
const scope = "github.com/tenon-ml/tenon"

// Options of Start.
type Options struct {
	Service string // as the collector lists it
	Version string
	OnStep  func(step string, took time.Duration, failed bool) // may be nil
	Log     *slog.Logger                                       // hears of traces that could not be delivered; nil is slog's own
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
	if !Exporting() && len(o.Also) == 0 {
		options = append(options, trace.WithSampler(trace.NeverSample())) // traces have names, for the log, and cost next to nothing
	}
	log := cmp.Or(o.Log, slog.Default())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces were lost", "cause", err) }))
	provider := trace.NewTracerProvider(options...)
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	heard := &o.OnStep
	onStep.Store(heard)
	return func(ctx context.Context) error {
		onStep.CompareAndSwap(heard, nil)
		return provider.Shutdown(ctx)
	}, nil
}

// onStep hears of every step. It is no part of the traces, of which a client or the environment may leave some out.
var onStep atomic.Pointer[func(step string, took time.Duration, failed bool)]

// Step begins a step, about what is said of it: digests and names of few, nothing that a collector must not read. Its end is told whether it
// failed.
func Step(ctx context.Context, name string, about ...slog.Attr) (context.Context, func(*error)) {
	begun := time.Now()
	ctx, span := otel.Tracer(scope).Start(ctx, name)
	About(ctx, about...)
	return ctx, func(failed *error) {
		if err := *failed; err != nil {
			span.SetStatus(codes.Error, string(codeOf(err)))
		}
		span.End()
		if heard := onStep.Load(); heard != nil && *heard != nil {
			(*heard)(name, time.Since(begun), *failed != nil)
		}
	}
}

// About says of ctx's step what was not known when it began.
func About(ctx context.Context, about ...slog.Attr) {
	span := api.SpanFromContext(ctx)
	for _, a := range about {
		span.SetAttributes(attribute.String(a.Key, a.Value.String()))
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
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithFilter(tells)))}
}

// DialOptions make the host's calls carry its traces.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(otelgrpc.WithFilter(tells)))}
}

// tells keeps out of the traces the calls that only ask how the backend is, again and again.
func tells(call *stats.RPCTagInfo) bool {
	return !strings.HasSuffix(call.FullMethodName, "/Status") && !strings.HasPrefix(call.FullMethodName, "/grpc.health.")
}
