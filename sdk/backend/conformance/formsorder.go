package conformance

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// ordered are the matrices that squares are summed of: one number in them is so large that beside it others are lost, one by one and not together.
// Which are lost depends on the order of the sum, and the magnitudes are such that one bit of the gain depends on that.
var ordered = []struct {
	name       string
	rows, cols int
	ofInputs   bool // of one run of all columns; otherwise of rows, or of columns where there is one
	other      func(v []float32, cols int) float64
}{
	{"along a row", 1, 4096, false, ascending},
	{"along a column", 4096, 1, false, func(v []float32, _ int) float64 { return backend.SquareOrder(v, len(v), 1, false)[0] }},
	{"along inputs", 64, 64, true, ascending},
}

// ascending sums squares as they lie, in the order that comes to mind first.
func ascending(v []float32, _ int) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return sum
}

// orderedAdapter has patches of these matrices, to which nothing is added.
func (k *kit) orderedAdapter(t T) *Adapter {
	s, a := newShelf(t, 43), &Adapter{shelf: newShelf(t, 44), name: "order"}
	for _, o := range ordered {
		v := make([]float32, o.rows*o.cols)
		for i := range v {
			v[i] = 1.375
		}
		v[0] = 0x1.5f3a4ep27 // of many digits: the quotients are then anywhere between two f32
		ofColumns := o.ofInputs || o.cols == 1
		m := telling(backend.SquareOrder(v, o.cols, 1, ofColumns)[0], o.other(v, o.cols))
		if m == 0 {
			t.Fatalf("%s: no magnitude tells the orders apart", o.name)
		}
		s.add(0, o.name, tensor.F32, []int64{int64(o.rows), int64(o.cols)}, v)
		in, out := int64(o.cols), int64(o.rows)
		fan := ofColumns && !o.ofInputs
		if fan {
			in, out = out, in
		}
		a.patches = append(a.patches, &backendpb.Patch{
			Tensor: o.name, Scale: 1, FanInFanOut: fan, MagnitudeOfInputs: o.ofInputs,
			A: a.add(0, o.name+".A", tensor.F32, []int64{1, in}, make([]float32, in)), B: a.add(0, o.name+".B", tensor.F32, []int64{out, 1}, make([]float32, out)),
			Magnitude: a.add(0, o.name+".magnitude", tensor.F32, []int64{1}, []float32{m}),
		})
	}
	a.base = &Base{shelf: s, digest: digest("order base"), files: s.write()}
	a.files = a.write()
	return a
}

// telling is a magnitude whose gains differ where the sums of squares do, or 0 where there is none.
func telling(right, wrong float64) float32 {
	a, b := math.Sqrt(right), math.Sqrt(wrong)
	for m := float32(1); m < 2; m = math.Nextafter32(m, 2) {
		if float32(float64(m)/a) != float32(float64(m)/b) {
			return m
		}
	}
	return 0
}

// testSquareOrder wants squares to be added in the contract's order.
func testSquareOrder(t T, k *kit) {
	if k.dtype(tensor.F32) != tensor.F32 {
		t.Skipf("it does not merge F32, and no other dtype shows the last bit of a gain")
	}
	k.checkForms(t, k.orderedAdapter(t))
}
