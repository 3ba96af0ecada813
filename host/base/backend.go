package base

import (
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// ModelConfig is what a backend needs to generate with the base, or nil where Servable says that it cannot.
func (b *Base) ModelConfig() *backendpb.ModelConfig {
	if b.Servable() != nil {
		return nil
	}
	c := b.Config
	m := &backendpb.ModelConfig{
		Architecture:      c.ModelType,
		HiddenSize:        int32(c.HiddenSize),
		IntermediateSize:  int32(c.IntermediateSize),
		Layers:            int32(c.Layers),
		Heads:             int32(c.Heads),
		KvHeads:           int32(c.KVHeads),
		HeadDim:           int32(c.HeadDim),
		VocabSize:         int32(c.VocabSize),
		MaxPositions:      int32(c.MaxPositions),
		RmsNormEps:        c.RMSNormEps,
		RopeTheta:         c.RopeTheta,
		TieWordEmbeddings: c.TieWordEmbeddings,
		AttentionBias:     c.AttentionBias,
		OutputBias:        c.OutputBias,
		MlpBias:           c.MLPBias,
		Activation:        c.HiddenAct,
	}
	for _, layer := range c.slidingLayers() {
		m.SlidingWindow = int32(c.SlidingWindow)
		m.SlidingLayers = append(m.SlidingLayers, int32(layer))
	}
	if s := c.RopeScaling; s.Type != "" {
		m.RopeScaling = &backendpb.RopeScaling{
			Type: s.Type, Factor: s.Factor, LowFreqFactor: s.LowFreqFactor, HighFreqFactor: s.HighFreqFactor,
			OriginalMaxPositions: int32(s.OriginalMaxPositions),
		}
	}
	return m
}

// BackendFiles are the shards, in the order of Shards, with the digests a backend must find.
func (b *Base) BackendFiles() []*backendpb.File {
	files := make([]*backendpb.File, len(b.Shards))
	for i, s := range b.Shards {
		files[i] = &backendpb.File{Path: s.Path, Size: s.Size, Sha256: slices.Clone(s.SHA256[:])}
	}
	return files
}

// BackendTensors are the tensors, by name; their file indexes BackendFiles.
func (b *Base) BackendTensors() []*backendpb.Tensor {
	tensors := make([]*backendpb.Tensor, len(b.Tensors))
	for i, t := range b.Tensors {
		shape := make([]int64, len(t.Shape))
		for j, n := range t.Shape {
			shape[j] = int64(n)
		}
		tensors[i] = &backendpb.Tensor{
			Name: t.Name, Dtype: t.DType.String(), Shape: shape, File: int32(t.File), Offset: t.Offset, Length: t.Length,
		}
	}
	return tensors
}
