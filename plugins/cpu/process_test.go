package cpu_test

import (
	"context"
	"os"
	"testing"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/plugins/cpu"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/backend/backendtest"
)

// TestMain lets the test binary be the backend, as tenon's executable is.
func TestMain(m *testing.M) {
	if os.Args[0] == backend.CPUArgv0 {
		cpu.Main(cpu.Options{})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestConformanceOfTheProcess runs the suite over real processes, each supervised as by the server.
func TestConformanceOfTheProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some 20 processes")
	}
	backendtest.Test(t, func(t *testing.T) backendpb.BackendClient {
		spec := backend.Embedded()
		spec.Env = []string{"GORACE=atexit_sleep_ms=0"}
		s, err := backend.Start(t.Context(), spec, backend.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Stop(context.Background()) })
		client, err := s.Client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return client
	})
}

func TestArgv0(t *testing.T) {
	if cpu.Argv0 != backend.CPUArgv0 {
		t.Errorf("host starts %q, the backend is %q", backend.CPUArgv0, cpu.Argv0)
	}
}

// BenchmarkStart is from exec to the first answer.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := backend.Start(b.Context(), backend.Embedded(), backend.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Stop(context.Background())
		b.StartTimer()
	}
}
