package conformance

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

func testMerge(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	checkMerge(t, client, k.plainAdapter(t, b))
}

// checkMerge merges into a file and wants the reference's bytes and counts, and nothing else touched.
func checkMerge(t T, client backendpb.BackendClient, a *Adapter) {
	t.Helper()
	b := a.base
	req, outputs := mergeRequest(t, a)
	events, err := drain(client.Merge(t.Context(), req))
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(events) != len(a.patches) {
		t.Fatalf("%d events for %d patches", len(events), len(a.patches))
	}
	after, err := os.ReadFile(outputs.Path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	covered := make([]bool, len(after))
	for i, p := range a.patches {
		want, place := a.merged(p), req.Tensors[i].Merged
		for k := range place.Length {
			covered[place.Offset+k] = true
		}
		if got := after[place.Offset : place.Offset+place.Length]; !bytes.Equal(got, want.bytes) {
			t.Errorf("%s: %s", p.Tensor, firstDifference(got, want.bytes, place))
			continue
		}
		sum := sha256.Sum256(want.bytes)
		j := slices.IndexFunc(events, func(e *backendpb.MergeEvent) bool { return e.Tensor == p.Tensor })
		if j < 0 {
			t.Errorf("%s: no event", p.Tensor)
		} else if e := events[j]; len(e.Sha256) > 0 && !bytes.Equal(e.Sha256, sum[:]) || e.Changed != want.changed || e.NonFinite != 0 {
			t.Errorf("%s: %s; right are %x or no digest, and %d changed", p.Tensor, told(e), sum, want.changed)
		}
	}
	for i, c := range after {
		if !covered[i] && c != 0xee {
			t.Fatalf("byte %d, which belongs to no tensor, was written", i)
		}
	}
	for i, file := range b.shelf.files {
		if now, err := os.ReadFile(b.files[i].Path); err != nil || !bytes.Equal(now, file) {
			t.Errorf("input %d changed (%v)", i, err)
		}
	}
}

// mergeRequest merges an adapter into one new file filled with 0xee.
func mergeRequest(t T, a *Adapter) (*backendpb.MergeRequest, *backendpb.File) {
	inputs := append(slices.Clone(a.base.files), a.files...)
	req := &backendpb.MergeRequest{Inputs: inputs}
	at := int64(11)
	for _, p := range a.patches {
		p = proto.CloneOf(p)
		for _, part := range parts(p) {
			part.File += int32(len(a.base.files))
		}
		weight := a.base.tensor(p.Tensor)
		merged := proto.CloneOf(weight)
		merged.File, merged.Offset = 0, at
		at += merged.Length + 5
		req.Tensors = append(req.Tensors, &backendpb.Output{Base: weight, Patch: p, Merged: merged})
	}
	path := filepath.Join(t.TempDir(), "merged")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0xee}, int(at)), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	output := &backendpb.File{Path: path, Size: at}
	req.Outputs = []*backendpb.File{output}
	return proto.CloneOf(req), output
}

// parts are the tensors that a patch brings.
func parts(p *backendpb.Patch) []*backendpb.Tensor {
	return slices.DeleteFunc([]*backendpb.Tensor{p.A, p.B, p.Dense, p.Start, p.Magnitude}, func(t *backendpb.Tensor) bool { return t == nil })
}

func testMergeRefuses(t T, k *kit) {
	client, b := k.start(t), k.plainBase(t)
	a := k.plainAdapter(t, b)
	for _, c := range []struct {
		name  string
		spoil func(*backendpb.MergeRequest)
		want  codes.Code
	}{
		{"nothing to do", func(r *backendpb.MergeRequest) { r.Tensors = nil }, codes.InvalidArgument},
		{"output that does not exist", func(r *backendpb.MergeRequest) { r.Outputs[0].Path += ".gone" }, codes.NotFound},
		{"output shorter than promised", func(r *backendpb.MergeRequest) { r.Outputs[0].Size++ }, codes.DataLoss},
		{"output is an input", func(r *backendpb.MergeRequest) { r.Outputs[0] = r.Inputs[0] }, codes.InvalidArgument},
		{"outputs overlap", func(r *backendpb.MergeRequest) { r.Tensors[1].Merged.Offset = r.Tensors[0].Merged.Offset }, codes.InvalidArgument},
		{"other dtype", func(r *backendpb.MergeRequest) { r.Tensors[0].Merged.Dtype = otherDtype(r.Tensors[0].Base.Dtype) }, codes.InvalidArgument},
		{"other name", func(r *backendpb.MergeRequest) { r.Tensors[0].Merged.Name = "second" }, codes.InvalidArgument},
		{"wrong digest of the base", func(r *backendpb.MergeRequest) { r.Inputs[0].Sha256[0] ^= 1 }, codes.DataLoss},
	} {
		t.Run(c.name, func(t T) {
			req, _ := mergeRequest(t, a)
			c.spoil(req)
			_, err := drain(client.Merge(t.Context(), req))
			wantCode(t, "Merge", err, c.want)
		})
	}
	t.Run("overflow", func(t T) {
		req, _ := mergeRequest(t, k.overflowing(t, b))
		events, err := drain(client.Merge(t.Context(), req))
		wantCode(t, "Merge", err, codes.OutOfRange)
		for _, e := range events {
			if (e.NonFinite > 0) != (e.Tensor == "second") {
				t.Errorf("event %v", e)
			}
		}
	})
}

// otherDtype is another dtype of the same size, where there is one.
func otherDtype(name string) string {
	if name == "F16" {
		return "BF16"
	}
	return "F16"
}
