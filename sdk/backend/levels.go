package backend

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// The levels of the contract, as backend.proto defines them. A backend does each as a whole or not at all, and at least one of the first two.
const (
	Merging    = "merging"    // Merge: tenon merge can use it
	Staging    = "staging"    // LoadBase, Stage, Verify, Activate, Release, Status
	Generating = "generating" // staging, and Generate and Compare: tenon serve can use it
)

// Levels asks a backend which levels it does. The questions are requests with nothing in them: what is not done is answered with Unimplemented,
// whatever was asked, and everything else is refused in some other way. described is what the backend says of itself. The error tells of a level
// that is done in part, of none, or of a backend that does not answer.
func Levels(ctx context.Context, client backendpb.BackendClient, described *backendpb.DescribeResponse) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx) // of streams whose first word was enough
	defer cancel()
	var levels []string
	for _, level := range []struct {
		name string
		asks []ask
	}{
		{Merging, []ask{{"Merge", func() error { return first(client.Merge(ctx, &backendpb.MergeRequest{})) }}}},
		{Staging, []ask{
			{"LoadBase", func() error { _, err := client.LoadBase(ctx, &backendpb.LoadBaseRequest{}); return err }},
			{"Stage", func() error { return first(client.Stage(ctx, &backendpb.StageRequest{})) }},
			{"Verify", func() error { _, err := client.Verify(ctx, &backendpb.VerifyRequest{}); return err }},
			{"Activate", func() error { _, err := client.Activate(ctx, &backendpb.ActivateRequest{}); return err }},
			{"Release", func() error { _, err := client.Release(ctx, &backendpb.ReleaseRequest{}); return err }},
			{"Status", func() error { _, err := client.Status(ctx, &backendpb.StatusRequest{}); return err }},
		}},
		{Generating, []ask{
			{"Generate", func() error { return first(client.Generate(ctx, &backendpb.GenerateRequest{})) }},
			{"Compare", func() error { _, err := client.Compare(ctx, &backendpb.CompareRequest{}); return err }},
		}},
	} {
		var done, missing []string
		for _, call := range level.asks {
			switch err := call.ask(); status.Code(err) {
			case codes.Unimplemented:
				missing = append(missing, call.name)
			case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
				return nil, err
			default:
				done = append(done, call.name)
			}
		}
		if len(done) > 0 && len(missing) > 0 {
			return nil, fmt.Errorf("%s is done in part: %v, but not %v", level.name, done, missing)
		}
		if len(done) > 0 {
			levels = append(levels, level.name)
		}
	}
	return levels, agrees(levels, described)
}

// ask is one call and its name.
type ask struct {
	name string
	ask  func() error
}

// first waits for a stream's first word, and does not listen to more.
func first[S interface{ Recv() (E, error) }, E any](stream S, err error) error {
	if err == nil {
		_, err = stream.Recv()
	}
	return err
}

// agrees holds what a backend does against what it says of itself.
func agrees(levels []string, described *backendpb.DescribeResponse) error {
	has := map[string]bool{}
	for _, level := range levels {
		has[level] = true
	}
	switch {
	case !has[Merging] && !has[Staging]:
		return fmt.Errorf("neither Merge nor Stage is implemented: a backend does at least one of them")
	case has[Generating] && !has[Staging]:
		return fmt.Errorf("it generates, but has no generations to generate from: Stage is not implemented")
	case has[Generating] && len(described.GetArchitectures()) == 0:
		return fmt.Errorf("Generate is implemented, but Describe names no architecture to generate with")
	case !has[Generating] && len(described.GetArchitectures()) > 0:
		return fmt.Errorf("Describe names %q to generate with, but Generate is not implemented", described.Architectures)
	}
	return nil
}
