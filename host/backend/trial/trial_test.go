package trial_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/plugins/cpu"
	sdk "github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/backend/backendtest"
	"github.com/tenon-ml/tenon/sdk/backend/conformance"
)

const (
	argv0 = "tenon-backend-liar"
	lie   = "TENON_TEST_LIE"

	restaurant = "../../../examples/restaurant/"
)

// TestMain lets the test binary be a backend that lies.
func TestMain(m *testing.M) {
	if os.Args[0] == argv0 {
		sdk.Serve(&liar{Backend: cpu.New(cpu.Options{}), lie: os.Getenv(lie)})
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func lying(what string) backend.Spec {
	spec := backend.Embedded()
	spec.Name, spec.Argv0 = "liar", argv0
	spec.Env = []string{lie + "=" + what, "GORACE=atexit_sleep_ms=0"}
	if what == "stall" {
		spec.Patience = 500 * time.Millisecond
	}
	return spec
}

// liar merges as the built-in backend does, and then does or says something else.
type liar struct {
	*cpu.Backend
	lie  string
	mute bool // generates nothing, and says so
}

func (l *liar) Generate(r *backendpb.GenerateRequest, stream backendpb.Backend_GenerateServer) error {
	if l.mute {
		return backendpb.UnimplementedBackendServer{}.Generate(r, stream)
	}
	return l.Backend.Generate(r, stream)
}

func (l *liar) Compare(ctx context.Context, r *backendpb.CompareRequest) (*backendpb.CompareResponse, error) {
	if l.mute {
		return backendpb.UnimplementedBackendServer{}.Compare(ctx, r)
	}
	return l.Backend.Compare(ctx, r)
}

func (l *liar) Merge(r *backendpb.MergeRequest, stream backendpb.Backend_MergeServer) error {
	if l.lie == "absent" {
		return backendpb.UnimplementedBackendServer{}.Merge(r, stream)
	}
	return l.Backend.Merge(r, &lyingMerge{stream, l.lie, r, new(int)})
}

func (l *liar) Stage(r *backendpb.StageRequest, stream backendpb.Backend_StageServer) error {
	return l.Backend.Stage(r, &lyingMerge{stream, l.lie, nil, new(int)})
}

func (l *liar) Verify(ctx context.Context, r *backendpb.VerifyRequest) (*backendpb.VerifyResponse, error) {
	response, err := l.Backend.Verify(ctx, r)
	if err == nil && l.lie == "verify" {
		response.Probes[0].Product[0]++
	}
	return response, err
}

func (l *liar) Release(ctx context.Context, r *backendpb.ReleaseRequest) (*backendpb.ReleaseResponse, error) {
	if l.lie == "leak" {
		return &backendpb.ReleaseResponse{Existed: true}, nil
	}
	return l.Backend.Release(ctx, r)
}

func (l *liar) Describe(ctx context.Context, r *backendpb.DescribeRequest) (*backendpb.DescribeResponse, error) {
	d, err := l.Backend.Describe(ctx, r)
	if l.mute {
		d.Architectures = nil
	}
	switch l.lie {
	case "no generation":
		d.Architectures = nil
	case "generation":
		d.Architectures = []string{"llama"}
	case "dtypes":
		d.Dtypes = []string{"F16"}
	}
	return d, err
}

// lyingMerge changes what is said of a tensor on its way, or the tensor.
type lyingMerge struct {
	backendpb.Backend_MergeServer
	lie     string
	request *backendpb.MergeRequest // nil for a staging
	sent    *int
}

func (s *lyingMerge) Send(event *backendpb.MergeEvent) error {
	*s.sent++
	switch s.lie {
	case "bit":
		if s.request != nil {
			s.flip(event.Tensor)
		}
	case "digest":
		event.Sha256 = make([]byte, 32)
	case "count":
		event.Changed++
	case "name":
		event.Tensor += "x"
	case "twice":
		if err := s.Backend_MergeServer.Send(event); err != nil {
			return err
		}
	case "silence":
		if *s.sent > 1 {
			return nil
		}
	case "stall":
		if *s.sent > 1 {
			<-s.Context().Done()
		}
	case "flood":
		fmt.Fprintln(os.Stderr, strings.Repeat("flood ", 1<<17)) // more than any pipe holds
	case "exit":
		if *s.sent > 1 {
			os.Exit(9)
		}
	}
	return s.Backend_MergeServer.Send(event)
}

// flip changes the last bit of a merged tensor in its file.
func (s *lyingMerge) flip(tensor string) {
	i := slices.IndexFunc(s.request.Tensors, func(o *backendpb.Output) bool { return o.Merged.Name == tensor })
	place := s.request.Tensors[i].Merged
	file, err := os.OpenFile(s.request.Outputs[place.File].Path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, place.Offset); err != nil {
		panic(err)
	}
	last[0] ^= 1
	if _, err := file.WriteAt(last, place.Offset); err != nil {
		panic(err)
	}
}

// TestLiarsAreRefused merges through the host with backends that are processes of their own. None gives a checkpoint.
func TestLiarsAreRefused(t *testing.T) {
	h, err := host.New(host.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ lie, want string }{
		{"", ""},
		{"bit", "MERGE_MISMATCH"},
		{"digest", "MERGE_MISMATCH"},
		{"count", "MERGE_MISMATCH"},
		{"name", "MERGE_MISMATCH"},
		{"twice", "MERGE_MISMATCH"},
		{"silence", "MERGE_MISMATCH"},
		{"stall", "finished no tensor for 500ms"},
		{"exit", "Unavailable"},
		{"absent", "does not merge into files"},
		{"dtypes", "merges F16, and this weight is BF16"},
	} {
		t.Run("lie "+c.lie, func(t *testing.T) {
			out := t.TempDir() + "/merged"
			receipt, _, err := h.WithBackend(lying(c.lie)).Merge(t.Context(), host.MergeRequest{
				Adapter: restaurant + "adapter", Scale: 1, Base: restaurant + "base", Out: out, Override: "a test of liars"})
			_, gone := os.Stat(out)
			if c.want == "" {
				if err != nil || receipt == nil || gone != nil {
					t.Fatalf("an honest backend: %v, %v", err, gone)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the host says %v, want %q", err, c.want)
			}
			if !os.IsNotExist(gone) {
				t.Errorf("a checkpoint is there: %v", gone)
			}
		})
	}
	if _, err := h.WithBackend(lying("no generation")).Serve(t.Context(), restaurant+"base", "base"); err == nil ||
		!strings.Contains(err.Error(), "does not generate text") {
		t.Errorf("serving with a backend that does not generate: %v", err)
	}
}

// TestLiarsStageNothing stages as a server does.
func TestLiarsStageNothing(t *testing.T) {
	b, err := base.Open(restaurant + "base")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	binding, err := adapter.Load(restaurant+"adapter", b)
	if err != nil {
		t.Fatal(err)
	}
	defer binding.Adapter.Close()
	plan, err := merge.NewPlan(binding, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ lie, want string }{
		{"", ""}, {"verify", "MERGE_MISMATCH"}, {"digest", "MERGE_MISMATCH"}, {"silence", "MERGE_MISMATCH"},
		{"stall", "finished no tensor"}, {"exit", "Unavailable"}, {"flood", ""},
	} {
		t.Run("lie "+c.lie, func(t *testing.T) {
			s, err := backend.Start(t.Context(), lying(c.lie), backend.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Stop(context.Background())
			client, err := s.Client(t.Context())
			if err == nil {
				_, err = client.LoadBase(t.Context(), &backendpb.LoadBaseRequest{Digest: b.Digest[:], Files: b.BackendFiles(), Tensors: b.BackendTensors()})
			}
			if err != nil {
				t.Fatal(err)
			}
			staged, err := plan.Stage(t.Context(), client)
			if c.want == "" && (err != nil || staged == nil) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the host says %v, want %q", err, c.want)
			}
		})
	}
}

// TestSuiteFindsLiars: each lie fails the suite, in a case that is about it.
func TestSuiteFindsLiars(t *testing.T) {
	for _, c := range []struct{ lie, want string }{
		{"", ""},
		{"bit", "merge into files"},
		{"digest", "stage gives exact bytes"},
		{"count", "stage odd shapes"},
		{"name", "stage gives exact bytes"},
		{"verify", "verify"},
		{"generation", "describe"},
		{"leak", "activate and release"},
	} {
		t.Run("lie "+c.lie, func(t *testing.T) {
			var failed []string
			heard := func(r conformance.Result) {
				if r.Outcome == conformance.Failed {
					failed = append(failed, r.Name)
				}
			}
			ok := conformance.Run(t.Context(), conformance.Options{Limit: time.Minute, Heard: heard}, func(kit conformance.T) {
				conformance.Test(kit, func(conformance.T) backendpb.BackendClient {
					return backendtest.Serve(backendtest.Adapt(t), &liar{Backend: cpu.New(cpu.Options{}), lie: c.lie, mute: true})
				})
			})
			if ok != (c.want == "") || c.want != "" && !slices.Contains(failed, c.want) {
				t.Errorf("failed cases: %q, want among them %q", failed, c.want)
			}
		})
	}
}
