// Package conformance is the suite that every backend passes. It drives any implementation of the contract through its gRPC client, with fixtures
// that it writes itself, and compares with naive references that share no code with any backend.
//
// Go tests run it with package backendtest, and tenon backend test runs it on a command, in whatever language that is written.
package conformance

import (
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Start returns a client of a backend that has no base yet, and ends it with the test.
type Start func(t T) backendpb.BackendClient

// kit is what the cases know of the backend they are held against.
type kit struct {
	start     Start
	described *backendpb.DescribeResponse
	levels    []string
}

// forms of a patch that Describe may name.
var forms = []string{backendpb.FormReshaped, backendpb.FormBlocks, backendpb.FormDense, backendpb.FormStart, backendpb.FormMagnitude}

// anyForm is what a case needs that is of any of them.
const anyForm = "any form"

// unmerged is what Describe says of itself, beside the levels: the cases are of a backend that generates.
const unmerged = "staging unmerged"

// describing is how the names of the cases begin that all others depend on.
const describing = "describe"

// Test runs the suite over gRPC clients. What the backend does not do, by what it says and answers, is skipped with the reason.
func Test(t T, start Start) {
	k := &kit{start: start}
	if !t.Run(describing, k.describe) {
		return // nothing can be said of a backend that does not say what it is
	}
	for _, c := range []struct {
		name  string
		level string
		run   func(T, *kit)
	}{
		{"load", backend.Staging, testLoad},
		{"load refuses", backend.Staging, testLoadRefuses},
		{"stage gives exact bytes", backend.Staging, testStage},
		{"stage rounds once", backend.Staging, testRounding},
		{"stage odd shapes", backend.Staging, testOddShapes},
		{"stage refuses", backend.Staging, testStageRefuses},
		{"overflow leaves nothing", backend.Staging, testOverflow},
		{"stage canceled leaves nothing", backend.Staging, testStageCanceled},
		{"verify", backend.Staging, testVerify},
		{"activate and release", backend.Staging, testActivate},
		{"merge into files", backend.Merging, testMerge},
		{"merge rounds once", backend.Merging, testMergeRounding},
		{"merge refuses", backend.Merging, testMergeRefuses},
		{"generate agrees with the reference", backend.Generating, testGenerate},
		{"generate refuses", backend.Generating, testGenerateRefuses},
		{"generate stays on its generation", backend.Generating, testPinned},
		{"generate canceled ends", backend.Generating, testGenerateCanceled},
		{"generate from what is staged", backend.Generating, testGenerateStaged},
		{"compare agrees with the reference", backend.Generating, testCompare},
		{"compare refuses", backend.Generating, testCompareRefuses},
		{"predictions that are not finite", backend.Generating, testNotFinite},
		{"sampling repeats with its seed", backend.Generating, testSampling},
		{"texts side by side", backend.Generating, testSideBySide},
		{"texts that begin alike", backend.Generating, testAlike},
		{"reshaped weights", backendpb.FormReshaped, testForm(backendpb.FormReshaped)},
		{"blocks", backendpb.FormBlocks, testForm(backendpb.FormBlocks)},
		{"dense deltas", backendpb.FormDense, testForm(backendpb.FormDense)},
		{"another start", backendpb.FormStart, testForm(backendpb.FormStart)},
		{"a start that is not finite", backendpb.FormStart, testStartNaN},
		{"magnitudes", backendpb.FormMagnitude, testForm(backendpb.FormMagnitude)},
		{"magnitudes add squares in order", backendpb.FormMagnitude, testSquareOrder},
		{"forms refuse", anyForm, testFormsRefuse},
		{"generations that are not merged", unmerged, testUnmerged},
		{"not merging refuses", unmerged, testUnmergedRefuses},
	} {
		t.Run(c.name, func(t T) {
			k.needs(t, c.level)
			c.run(t, k)
		})
	}
}

// describe is the first case: the others depend on what the backend says of itself.
func (k *kit) describe(t T) {
	client := k.start(t)
	d, err := client.Describe(t.Context(), &backendpb.DescribeRequest{})
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	if d.Name == "" || d.Version == "" || d.Device == "" {
		t.Errorf("name, version or device is missing: %v", d)
	}
	for i, name := range d.Dtypes {
		if dtype, ok := tensor.ParseDType(name); !ok || !slices.Contains(mergeable, dtype) || slices.Contains(d.Dtypes[:i], name) {
			t.Errorf("dtype %q comes twice, or the merge rule does not know it: it knows %v", name, mergeable)
		}
	}
	for i, form := range d.Forms {
		if !slices.Contains(forms, form) || slices.Contains(d.Forms[:i], form) {
			t.Errorf("form %q comes twice, or the contract does not know it: it knows %v", form, forms)
		}
	}
	if len(d.Dtypes) == 0 {
		t.Errorf("there is no dtype it merges")
	}
	if k.levels, err = backend.Levels(t.Context(), client, d); err != nil {
		t.Errorf("%v", err)
	}
	k.described = d
}

// needs skips a case of a level that the backend does not do.
func (k *kit) needs(t T, level string) {
	t.Helper()
	switch {
	case level == anyForm:
		if len(k.described.Forms) == 0 {
			t.Skipf("Describe names no form of a patch besides two factors of a matrix")
		}
		return
	case slices.Contains(forms, level):
		if !k.names(level) {
			t.Skipf("Describe does not name the form %q", level)
		}
		return
	case level == unmerged:
		if !k.described.Unmerged {
			t.Skipf("Describe does not say that it can stage a generation unmerged")
		}
		level = backend.Generating
	}
	if !slices.Contains(k.levels, level) {
		t.Skipf("%s is not implemented", level)
	}
	if level == backend.Generating && !slices.Contains(k.described.Architectures, "llama") {
		t.Skipf("it generates with %q, and the fixture is a llama", k.described.Architectures)
	}
}

// mergeable are the dtypes that the merge rule is for.
var mergeable = []tensor.DType{tensor.BF16, tensor.F16, tensor.F32}

// dtype is the wanted one where the backend merges it, and one that it does merge otherwise.
func (k *kit) dtype(wanted tensor.DType) tensor.DType {
	if slices.Contains(k.described.Dtypes, wanted.String()) {
		return wanted
	}
	dtype, _ := tensor.ParseDType(k.described.Dtypes[0])
	return dtype
}

// foreign is a dtype of weights that the backend does not merge. There always is one: F64.
func (k *kit) foreign() tensor.DType {
	for _, dtype := range mergeable {
		if !slices.Contains(k.described.Dtypes, dtype.String()) {
			return dtype
		}
	}
	return tensor.F64
}

// wantCode fails unless err carries one of the codes.
func wantCode(t T, what string, err error, want ...codes.Code) {
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

func load(t T, client backendpb.BackendClient, b *Base) {
	t.Helper()
	if _, err := client.LoadBase(t.Context(), b.Request()); err != nil {
		t.Fatalf("LoadBase: %v", err)
	}
}

func stage(t T, client backendpb.BackendClient, req *backendpb.StageRequest) []*backendpb.MergeEvent {
	t.Helper()
	events, err := drain(client.Stage(t.Context(), req))
	if err != nil {
		t.Fatalf("Stage: %v", err)
	}
	return events
}

func activate(t T, client backendpb.BackendClient, alias string, generation []byte, sequence uint64) {
	t.Helper()
	req := &backendpb.ActivateRequest{Alias: alias, Generation: generation, Sequence: sequence}
	if _, err := client.Activate(t.Context(), req); err != nil {
		t.Fatalf("Activate %q: %v", alias, err)
	}
}

func currentStatus(t T, client backendpb.BackendClient) *backendpb.StatusResponse {
	t.Helper()
	s, err := client.Status(t.Context(), &backendpb.StatusRequest{})
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	return s
}
