package main

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/backend/trial"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/backend/backendtest"
	"github.com/tenon-ml/tenon/sdk/backend/conformance"
)

// argv0 under which the test binary is the backend.
const argv0 = "tenon-backend-example"

func TestMain(m *testing.M) {
	if os.Args[0] == argv0 {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func self() trial.Host {
	spec := backend.Embedded()
	spec.Name, spec.Argv0 = "example", argv0
	spec.Env = []string{"GORACE=atexit_sleep_ms=0"}
	return trial.Host{Spec: spec}
}

// TestConformance holds the backend against the contract, each case in a process of its own.
func TestConformance(t *testing.T) { self().Test(backendtest.Adapt(t)) }

// partial does less than it could.
type partial struct {
	*example
	described *backendpb.DescribeResponse
}

func (p *partial) Describe(context.Context, *backendpb.DescribeRequest) (*backendpb.DescribeResponse, error) {
	return p.described, nil
}

// Stage refuses weights of other dtypes than it describes.
func (p *partial) Stage(r *backendpb.StageRequest, stream backendpb.Backend_StageServer) error {
	for _, patch := range r.Patches {
		if t := p.tensors[patch.Tensor]; t != nil && !slices.Contains(p.described.Dtypes, t.Dtype) {
			return invalid("dtype %s", t.Dtype)
		}
	}
	return p.example.Stage(r, stream)
}

// TestPartialBackends: a backend of one dtype passes, and one that only writes files does.
func TestPartialBackends(t *testing.T) {
	for _, dtype := range dtypes {
		t.Run(dtype, func(t *testing.T) {
			conformance.Test(backendtest.Adapt(t), func(t conformance.T) backendpb.BackendClient {
				described := &backendpb.DescribeResponse{Name: "one", Version: "1", Device: "test", Dtypes: []string{dtype}}
				return backendtest.Serve(t, &partial{newExample(), described})
			})
		})
	}
	t.Run("merging only", func(t *testing.T) {
		backendtest.Test(t, func(t *testing.T) backendpb.BackendClient {
			return backendtest.Serve(backendtest.Adapt(t), &mergeOnly{whole: newExample()})
		})
	})
}

// mergeOnly answers everything but Describe and Merge with Unimplemented.
type mergeOnly struct {
	backendpb.UnimplementedBackendServer
	whole *example
}

func (m *mergeOnly) Describe(ctx context.Context, r *backendpb.DescribeRequest) (*backendpb.DescribeResponse, error) {
	return m.whole.Describe(ctx, r)
}

func (m *mergeOnly) Merge(r *backendpb.MergeRequest, stream backendpb.Backend_MergeServer) error {
	return m.whole.Merge(r, stream)
}

// TestFMA holds the arithmetic against Tenon's own, on random numbers and on such as lie beside a midpoint of two f32.
func TestFMA(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300_000 {
		x, y, z := math.Float32frombits(random.Uint32()), math.Float32frombits(random.Uint32()), math.Float32frombits(random.Uint32())
		if random.IntN(2) == 0 {
			e := math.Ldexp(1, -random.IntN(24))
			x, y = float32((1+e)*0x1p-12), float32((1-e)*0x1p-12)
			z = math.Float32frombits(0x3f800000 + random.Uint32N(1<<23))
		}
		got, want := fma(x, y, z), kernel.FMA32(x, y, z)
		if math.Float32bits(got) != math.Float32bits(want) && (got == got || want == want) {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", x, y, z, got, want)
		}
	}
}
