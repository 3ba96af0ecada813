package gaps

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

func TestGrey(t *testing.T) {
	s := []float64{4, 3.5, 3.5, 1}
	if got, want := Of(s), []float64{0.125, 0, 0.625, 0.25}; !slices.Equal(got, want) {
		t.Errorf("gaps are %v, want %v", got, want)
	}
	for _, test := range []struct {
		noise float64
		want  []float64
	}{{0, []float64{0, 1, 0, 0}}, {0.5, []float64{1, 1, 0, 0}}, {9, []float64{1, 1, 1, 1}}} {
		if got := Grey(s, test.noise); !slices.Equal(got, test.want) {
			t.Errorf("with noise %g grey is %v, want %v", test.noise, got, test.want)
		}
	}
	if got := Of(nil); len(got) > 0 || len(Grey(nil, 1)) > 0 {
		t.Errorf("of nothing there are %v", got)
	}
}

func TestNoise(t *testing.T) {
	for dtype, want := range map[abi.DType]float64{abi.DTypeBF16: 0x1p-8, abi.DTypeF16: 0x1p-11, abi.DTypeF32: 0x1p-24, abi.DTypeF64: 0x1p-51} {
		if got := Noise(diag.Target{Scale: -2, FactorDType: dtype}, 3, 5); got != 30*want {
			t.Errorf("the noise of dtype %d is %g, want %g", dtype, got, 30*want)
		}
	}
}
