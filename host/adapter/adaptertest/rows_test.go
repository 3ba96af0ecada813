package adaptertest

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

func values(list ...float64) Tensor {
	x := Tensor{DType: tensor.F64, Shape: []int{len(list)}}
	for _, v := range list {
		x.Bytes = binary.LittleEndian.AppendUint64(x.Bytes, math.Float64bits(v))
	}
	return x
}

func TestUlps(t *testing.T) {
	for _, c := range []struct {
		name string
		d    tensor.DType
		x, y float64
		want int64
	}{
		{"same", tensor.BF16, 1, 1, 0},
		{"next", tensor.BF16, 1, 1 + 1.0/128, 1},
		{"below a power of two", tensor.F16, 1, 1 - 1.0/2048, 1},
		{"two zeros", tensor.F32, 0, math.Copysign(0, -1), 0},
		{"over zero", tensor.F32, 0x1p-149, -0x1p-149, 2},
		{"binade", tensor.F32, 1, 2, 1 << 23},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Ulps(t, values(c.x).Rounded(t, c.d), values(c.y).Rounded(t, c.d)); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// TestRoundedOnce rounds a value to which rounding by way of F32 would do it twice.
func TestRoundedOnce(t *testing.T) {
	got := values(1+0x1p-8+0x1p-40).Rounded(t, tensor.BF16).Floats(t)[0]
	if want := 1 + 0x1p-7; got != want {
		t.Errorf("%g, want %g", got, want)
	}
}

// TestTwinsApply wants every twin to be of some row.
func TestTwinsApply(t *testing.T) {
	rows := Rows(t, filepath.Join("..", "testdata", "peft"))
	for _, twin := range Twins {
		if !slices.ContainsFunc(rows, func(row Row) bool {
			_, possible := twin.Of(t, row)
			return row.Expect.Refused == "" && possible
		}) {
			t.Errorf("no row has the twin %s", twin.Name)
		}
	}
}
