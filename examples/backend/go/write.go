package main

import (
	"os"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Merge merges into files that exist, and needs no base: every tensor's place comes with the request.
func (e *example) Merge(r *backendpb.MergeRequest, stream backendpb.Backend_MergeServer) error {
	e.turn.Lock()
	defer e.turn.Unlock()
	inputs, err := openFiles(r.Inputs, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer inputs.close()
	outputs, err := openFiles(r.Outputs, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer outputs.close()
	if err := checkOutputs(r, inputs, outputs); err != nil {
		return err
	}
	var events []*backendpb.MergeEvent
	for _, t := range r.Tensors {
		stored, err := inputs.read(t.Base)
		if err != nil {
			return err
		}
		merged, event, err := inputs.merge(stored, t.Base, t.Patch)
		if err != nil {
			return err
		}
		if _, err := outputs.open[t.Merged.File].WriteAt(merged, t.Merged.Offset); err != nil {
			return status.Errorf(codes.ResourceExhausted, "%v", err)
		}
		if err := stream.Send(event); err != nil {
			return err
		}
		events = append(events, event)
	}
	return refuseOverflow(events)
}

// checkOutputs refuses a merge that would write where it reads, or twice to one place.
func checkOutputs(r *backendpb.MergeRequest, inputs, outputs *files) error {
	for i, output := range outputs.open {
		written, _ := output.Stat()
		for j, input := range inputs.open {
			if read, _ := input.Stat(); os.SameFile(read, written) {
				return invalid("output %q and input %q are one file", r.Outputs[i].Path, r.Inputs[j].Path)
			}
		}
	}
	weights := map[string]*backendpb.Tensor{}
	var patches []*backendpb.Patch
	var places []*backendpb.Tensor
	for _, t := range r.Tensors {
		from, to := t.Base, t.Merged
		if err := inputs.check(from); err != nil {
			return err
		}
		if err := outputs.check(to); err != nil {
			return err
		}
		if from.Name != to.Name || from.Name != t.Patch.GetTensor() || from.Dtype != to.Dtype || !slices.Equal(from.Shape, to.Shape) {
			return invalid("%q, %q and a patch of %q are not of one weight", from.Name, to.Name, t.Patch.GetTensor())
		}
		weights[from.Name], patches, places = from, append(patches, t.Patch), append(places, to)
	}
	if err := inputs.checkPatches(patches, func(name string) *backendpb.Tensor { return weights[name] }); err != nil {
		return err
	}
	return refuseOverlap(places)
}
