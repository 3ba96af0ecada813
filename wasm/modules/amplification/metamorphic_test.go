package amplification

import (
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// What the numbers must do when the adapter is written differently.
func TestMetamorphic(t *testing.T) {
	stream := splitmix.New("test", "metamorphic", 0)
	adapter := configured(t, random(&stream, 11, 8, 3))
	same := diagtest.Comparison{Relative: 1e-9}
	diagtest.Invariant(t, adapter, Diagnose, same, append(diagtest.SameChange(), diagtest.Rescale(-1))...)
	larger := same
	larger.Factors = map[string]float64{ // what is proportional to delta W
		"delta_norm": 4, "norm_ratio": 4, "amplification": 4, "amplification_random": 4, "gain": 4, "gain_random": 4,
	}
	diagtest.Invariant(t, adapter, Diagnose, larger, diagtest.Rescale(4))
	// The pass sketches a W that is transposed with other signs.
	mirrored, sketched := same, diagtest.Comparison{Relative: 0.5, Only: []string{"alignment_lift_z"}}
	mirrored.Except = sketched.Only
	diagtest.Invariant(t, adapter, Diagnose, mirrored, diagtest.Transpose())
	diagtest.Invariant(t, adapter, Diagnose, sketched, diagtest.Transpose())
}

// The pass over a W that the checkpoint stores transposed sees the same matrix.
func TestFanInFanOut(t *testing.T) {
	stream := splitmix.New("test", "fan", 0)
	diagtest.Invariant(t, configured(t, random(&stream, 7, 5, 2)), Diagnose, diagtest.Comparison{}, diagtest.StoreTransposed())
}

func random(stream *splitmix.Stream, out, in, rank int) diagtest.Target {
	return diagtest.Target{
		Name: "w", Scale: 0.5, A: diagtest.Filled(rank, in, stream.Normals), B: diagtest.Filled(out, rank, stream.Normals),
		Base: diagtest.Filled(out, in, stream.Normals),
	}
}
