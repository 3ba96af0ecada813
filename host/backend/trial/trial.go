// Package trial has the conformance suite examine a backend under the supervision that it gets from a server.
package trial

import (
	"context"
	"log/slog"
	"os/exec"
	"time"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/backend/conformance"
)

// A frozen backend is noticed sooner than by a server.
const (
	healthInterval = 200 * time.Millisecond
	healthTimeout  = 5 * time.Second
)

// Host starts one backend, as often as the suite wants.
type Host struct {
	Spec backend.Spec
	Log  *slog.Logger // nil discards
}

var _ conformance.Host = Host{}

// Command is the backend without a host.
func (h Host) Command(ctx context.Context) *exec.Cmd { return h.Spec.ByHand(ctx) }

// Start starts it under a Supervisor.
func (h Host) Start(ctx context.Context, restore func(context.Context, backendpb.BackendClient) error) (conformance.Supervised, error) {
	s, err := backend.Start(ctx, h.Spec, backend.Options{Log: h.Log, Restore: restore, HealthInterval: healthInterval, HealthTimeout: healthTimeout})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Client starts a backend for one case of the suite, and ends it with the case.
func (h Host) Client(t conformance.T) backendpb.BackendClient {
	t.Helper()
	s, err := h.Start(t.Context(), func(context.Context, backendpb.BackendClient) error { return nil })
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	client, err := s.Client(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	return client
}

// Test runs the whole suite, one process for each case and more for those that are about processes.
func (h Host) Test(t conformance.T) {
	conformance.Test(t, h.Client)
	conformance.TestProcess(t, h)
}
