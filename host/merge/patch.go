package merge

import (
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// StageRequest asks a backend that holds the base to compute this generation. What the base has no tensor for is not in it.
func (p *Plan) StageRequest() *backendpb.StageRequest {
	request := &backendpb.StageRequest{Generation: p.Digest[:], Base: p.Base.Digest[:], Files: p.backendFiles(), Unmerged: p.Unmerged}
	for _, item := range p.Items {
		request.Patches = append(request.Patches, item.patch(0))
	}
	return request
}

// patch describes the item, the first of the plan's files being file number first of the message.
func (item Item) patch(first int32) *backendpb.Patch {
	place := func(t safetensors.Tensor) *backendpb.Tensor {
		if t.Shape == nil {
			return nil
		}
		return backendTensor(t.Ref, first+int32(t.File))
	}
	patch := &backendpb.Patch{
		Tensor: item.Name, FanInFanOut: item.FanInFanOut,
		Dense: place(item.Dense), Start: place(item.Start), StartRows: item.StartRows,
		Magnitude: place(item.Magnitude), MagnitudeOfInputs: item.MagnitudeOfInputs,
	}
	if item.LowRank() {
		patch.A, patch.B = place(item.A), place(item.B)
		if item.Blocks > 1 {
			patch.Blocks = int32(item.Blocks)
		}
	}
	if item.LowRank() || item.Dense.Shape != nil {
		patch.Scale = item.Scale
	}
	return patch
}

// backendFiles are the plan's files as another process of this user opens them: what was checked is what is read, whatever has happened to
// an adapter's own path since.
func (p *Plan) backendFiles() []*backendpb.File {
	files := make([]*backendpb.File, len(p.files))
	for i, f := range p.files {
		sum := f.SHA256()
		files[i] = &backendpb.File{Path: f.Path(), Size: f.Size(), Sha256: sum[:]}
	}
	return files
}

func backendTensor(ref tensor.Ref, file int32) *backendpb.Tensor {
	shape := make([]int64, len(ref.Shape))
	for i, d := range ref.Shape {
		shape[i] = int64(d)
	}
	return &backendpb.Tensor{Name: ref.Name, Dtype: ref.DType.String(), Shape: shape, File: file, Offset: ref.Offset, Length: ref.Length}
}
