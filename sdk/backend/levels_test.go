package backend_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/backend/backendtest"
)

// some implements the methods that are named, by refusing what it is asked.
type some struct {
	backendpb.UnimplementedBackendServer
	methods string
}

func (s *some) answer(method string) error {
	if slices.Contains(strings.Fields(s.methods), method) {
		return status.Error(codes.InvalidArgument, "nothing in it")
	}
	return status.Error(codes.Unimplemented, method)
}

func (s *some) LoadBase(context.Context, *backendpb.LoadBaseRequest) (*backendpb.LoadBaseResponse, error) {
	return nil, s.answer("LoadBase")
}
func (s *some) Verify(context.Context, *backendpb.VerifyRequest) (*backendpb.VerifyResponse, error) {
	return nil, s.answer("Verify")
}
func (s *some) Activate(context.Context, *backendpb.ActivateRequest) (*backendpb.ActivateResponse, error) {
	return nil, s.answer("Activate")
}
func (s *some) Release(context.Context, *backendpb.ReleaseRequest) (*backendpb.ReleaseResponse, error) {
	return nil, s.answer("Release")
}
func (s *some) Status(context.Context, *backendpb.StatusRequest) (*backendpb.StatusResponse, error) {
	return nil, s.answer("Status")
}
func (s *some) Compare(context.Context, *backendpb.CompareRequest) (*backendpb.CompareResponse, error) {
	return nil, s.answer("Compare")
}
func (s *some) Stage(*backendpb.StageRequest, backendpb.Backend_StageServer) error {
	return s.answer("Stage")
}
func (s *some) Merge(*backendpb.MergeRequest, backendpb.Backend_MergeServer) error {
	return s.answer("Merge")
}
func (s *some) Generate(*backendpb.GenerateRequest, backendpb.Backend_GenerateServer) error {
	return s.answer("Generate")
}

func TestLevels(t *testing.T) {
	const staging, generating = " LoadBase Stage Verify Activate Release Status ", " Generate Compare "
	for _, c := range []struct {
		name, methods string
		architectures []string
		want          []string
		err           string
	}{
		{"merging", "Merge", nil, []string{backend.Merging}, ""},
		{"staging", staging, nil, []string{backend.Staging}, ""},
		{"everything", "Merge" + staging + generating, []string{"llama"}, []string{backend.Merging, backend.Staging, backend.Generating}, ""},
		{"nothing", "", nil, nil, "at least one"},
		{"staging in part", "Merge LoadBase Stage", nil, nil, "staging is done in part: [LoadBase Stage], but not [Verify Activate Release Status]"},
		{"generating without staging", "Merge" + generating, []string{"llama"}, nil, "no generations"},
		{"generating without an architecture", staging + generating, nil, nil, "names no architecture"},
		{"an architecture without generating", staging, []string{"llama"}, nil, "Generate is not implemented"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := backendtest.Serve(backendtest.Adapt(t), &some{methods: c.methods})
			got, err := backend.Levels(t.Context(), client, &backendpb.DescribeResponse{Architectures: c.architectures})
			if c.err == "" && (err != nil || !slices.Equal(got, c.want)) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}
