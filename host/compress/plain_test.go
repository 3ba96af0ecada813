package compress

import (
	"io"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestRefuseOthers gives adapters of which a smaller one would lose something.
func TestRefuseOthers(t *testing.T) {
	weights, err := safetensors.Derive("weights", nil, nil, func(io.Writer) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer weights.Close()
	one := func(part adapter.Part, shape ...int) adapter.Tensor {
		return adapter.Tensor{Tensor: safetensors.Tensor{Ref: tensor.Ref{Name: string(part), Shape: shape}}, Key: adapter.Key{Part: part}}
	}
	a, b := one(adapter.FactorA, 2, 8), one(adapter.FactorB, 8, 2)
	for _, c := range []struct {
		name    string
		format  string
		config  adapter.Config
		tensors []adapter.Tensor
		refused int
	}{
		{"factors", adapter.FormatPEFT, adapter.Config{}, []adapter.Tensor{a, b}, 0},
		{"factors and an old copy", adapter.FormatPEFT, adapter.Config{}, []adapter.Tensor{a, b, one(adapter.OriginalModule, 8)}, 0},
		{"another format", adapter.FormatGGUF, adapter.Config{}, []adapter.Tensor{a, b}, 1},
		{"a bias and a magnitude", adapter.FormatPEFT, adapter.Config{}, []adapter.Tensor{a, b, one(adapter.FactorBias, 8), one(adapter.Magnitude, 8)}, 2},
		{"a head", adapter.FormatPEFT, adapter.Config{}, []adapter.Tensor{a, b, one(adapter.SavedModule, 3, 8)}, 1},
		{"a convolution", adapter.FormatPEFT, adapter.Config{}, []adapter.Tensor{one(adapter.FactorA, 2, 8, 3, 3), b}, 1},
		{"an embedding", adapter.FormatPEFT, adapter.Config{}, []adapter.Tensor{one(adapter.EmbeddingA, 2, 8), one(adapter.EmbeddingB, 8, 2)}, 2},
		{"a residual base", adapter.FormatPEFT, adapter.Config{InitWeights: "pissa"}, []adapter.Tensor{a, b}, 1},
		{"parameters", adapter.FormatPEFT, adapter.Config{Parameters: []string{"experts.gate_up_proj"}}, []adapter.Tensor{a, b}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := refuseOthers(&adapter.Adapter{Format: c.format, Config: c.config, Tensors: c.tensors, Weights: weights})
			list := fault.All(err)
			if len(list) != c.refused {
				t.Fatalf("%v, want %d refused", err, c.refused)
			}
			for _, e := range list {
				if e.Code != fault.ADUnsupported {
					t.Errorf("%v", e)
				}
			}
		})
	}
}
