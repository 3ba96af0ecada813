// Package backendtest is the conformance kit of backends. It drives any implementation of the contract through its gRPC client, with fixtures
// that it writes itself, and compares with naive references that share no code with any backend.
//
//	func TestConformance(t *testing.T) {
//		backendtest.Test(t, func(t *testing.T) backendpb.BackendClient { … })
//	}
package backendtest

import (
	"context"
	"errors"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Start returns a client of a backend that has no base yet, and ends it with the test.
type Start func(t *testing.T) backendpb.BackendClient

// Test runs the whole suite. What needs generation is skipped, with the reason, where the backend describes no architecture it generates with.
func Test(t *testing.T, start Start) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Start)
	}{
		{"describe", testDescribe},
		{"load", testLoad},
		{"load refuses", testLoadRefuses},
		{"stage gives exact bytes", testStage},
		{"stage refuses", testStageRefuses},
		{"overflow leaves nothing", testOverflow},
		{"stage canceled leaves nothing", testStageCanceled},
		{"verify", testVerify},
		{"activate and release", testActivate},
		{"merge into files", testMerge},
		{"merge refuses", testMergeRefuses},
		{"generate agrees with the reference", testGenerate},
		{"generate refuses", testGenerateRefuses},
		{"generate stays on its generation", testPinned},
		{"generate canceled ends", testGenerateCanceled},
		{"generate from what is staged", testGenerateStaged},
		{"compare agrees with the reference", testCompare},
		{"compare refuses", testCompareRefuses},
		{"predictions that are not finite", testNotFinite},
		{"sampling repeats with its seed", testSampling},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, start) })
	}
}

// wantCode fails unless err carries one of the codes.
func wantCode(t *testing.T, what string, err error, want ...codes.Code) {
	t.Helper()
	for _, code := range want {
		if status.Code(err) == code {
			return
		}
	}
	t.Errorf("%s: %v, want %v", what, err, want)
}

// drain reads a stream to its end.
func drain[T any](stream grpc.ServerStreamingClient[T], err error) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	var all []*T
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, event)
	}
}

func load(t *testing.T, client backendpb.BackendClient, b *Base) {
	t.Helper()
	if _, err := client.LoadBase(t.Context(), b.Request()); err != nil {
		t.Fatalf("LoadBase: %v", err)
	}
}

func stage(t *testing.T, client backendpb.BackendClient, req *backendpb.StageRequest) []*backendpb.MergeEvent {
	t.Helper()
	events, err := drain(client.Stage(t.Context(), req))
	if err != nil {
		t.Fatalf("Stage: %v", err)
	}
	return events
}

func activate(t *testing.T, client backendpb.BackendClient, alias string, generation []byte, sequence uint64) {
	t.Helper()
	req := &backendpb.ActivateRequest{Alias: alias, Generation: generation, Sequence: sequence}
	if _, err := client.Activate(t.Context(), req); err != nil {
		t.Fatalf("Activate %q: %v", alias, err)
	}
}

func currentStatus(t *testing.T, client backendpb.BackendClient) *backendpb.StatusResponse {
	t.Helper()
	s, err := client.Status(context.WithoutCancel(t.Context()), &backendpb.StatusRequest{})
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	return s
}

func testDescribe(t *testing.T, start Start) {
	d, err := start(t).Describe(t.Context(), &backendpb.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Name == "" || d.Version == "" || d.Device == "" || len(d.Dtypes) == 0 {
		t.Errorf("incomplete: %v", d)
	}
}

// generates skips the test where the backend does not generate with a llama.
func generates(t *testing.T, client backendpb.BackendClient) {
	t.Helper()
	d, err := client.Describe(t.Context(), &backendpb.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range d.Architectures {
		if a == "llama" {
			return
		}
	}
	t.Skipf("%s generates with %q, and the fixture is a llama", d.Name, d.Architectures)
}
