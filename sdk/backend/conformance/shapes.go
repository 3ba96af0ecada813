package conformance

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// oddShapes have a last row, column or lane that a vectorized loop forgets, and ranks above and below what one register holds.
var oddShapes = []struct {
	rows, cols int64
	rank       int
}{{1, 1, 1}, {1, 65, 3}, {130, 1, 2}, {3, 257, 17}, {31, 127, 1}, {8, 16, 64}, {67, 5, 9}}

// testOddShapes merges each of them, as stored and transposed.
func testOddShapes(t T, k *kit) {
	client := k.start(t)
	s := newShelf(t, 21)
	var targets []target
	for i, shape := range oddShapes {
		dtype := k.dtype(mergeable[i%len(mergeable)])
		for _, transposed := range []bool{false, true} {
			name := fmt.Sprintf("%d x %d, rank %d, transposed %v", shape.rows, shape.cols, shape.rank, transposed)
			s.add(i%2, name, dtype, []int64{shape.rows, shape.cols}, s.numbers(int(shape.rows*shape.cols), 0.3))
			targets = append(targets, target{name, shape.rank, mergeable[i%len(mergeable)], 1.25, transposed, 0.2})
		}
	}
	b := &Base{shelf: s, digest: digest("odd"), files: s.write()}
	load(t, client, b)
	checkEvents(t, client, newAdapter(t, b, "odd", 22, targets...))
}

// checkEvents stages an adapter and wants the reference's digests and counts.
func checkEvents(t T, client backendpb.BackendClient, a *Adapter) {
	t.Helper()
	byName := map[string]*backendpb.MergeEvent{}
	for _, e := range stage(t, client, a.request()) {
		byName[e.Tensor] = e
	}
	for _, p := range a.patches {
		want, got := a.merged(p), byName[p.Tensor]
		if sum := sha256.Sum256(want.bytes); got == nil || !bytes.Equal(got.Sha256, sum[:]) || got.Changed != want.changed || got.NonFinite != 0 {
			t.Errorf("%s: %s; the merge rule gives %x, and %d changed", p.Tensor, told(got), sum, want.changed)
		}
	}
}

// told is what an event says, for people.
func told(e *backendpb.MergeEvent) string {
	if e == nil {
		return "no event"
	}
	return fmt.Sprintf("SHA-256 %x, %d changed, %d not finite", e.Sha256, e.Changed, e.NonFinite)
}

// firstDifference names the first entry of a merged matrix that is not what it must be.
func firstDifference(got, want []byte, row *backendpb.Tensor) string {
	rows, cols := matrix(row)
	size := len(want) / (rows * cols)
	differing, first := 0, 0
	for at := 0; at < len(want); at += size {
		if !bytes.Equal(got[at:at+size], want[at:at+size]) {
			if differing == 0 {
				first = at
			}
			differing++
		}
	}
	hexadecimal := func(entry []byte) string {
		reversed := slices.Clone(entry)
		slices.Reverse(reversed)
		return fmt.Sprintf("0x%x", reversed)
	}
	i, j := first/size/cols, first/size%cols
	return fmt.Sprintf("entry (%d, %d) of %s is %s, the merge rule gives %s; %d of %d entries are wrong",
		i, j, row.Dtype, hexadecimal(got[first:first+size]), hexadecimal(want[first:first+size]), differing, len(want)/size)
}

// roundingAdapter has weights and factors whose merged entries show arithmetic that rounds once too often, or once too few. Random numbers do
// not: they come near such a place once in a hundred million times.
func (k *kit) roundingAdapter(t T) *Adapter {
	s, a := newShelf(t, 31), &Adapter{shelf: newShelf(t, 32), name: "rounding"}
	patch := func(name string, dtype tensor.DType, rows, cols int64, w, fa, fb []float32) {
		s.add(0, name, dtype, []int64{rows, cols}, w)
		rank := int64(len(fa)) / cols
		a.patches = append(a.patches, &backendpb.Patch{Tensor: name, Scale: 1,
			A: a.add(0, name+".A", tensor.F32, []int64{rank, cols}, fa), B: a.add(0, name+".B", tensor.F32, []int64{rows, rank}, fb)})
	}
	wide := k.dtype(tensor.F32)
	// 1 + (2i+1) u, plus a product that lies a little below u/2: the sum rounds down, but in f64 it is the midpoint, and that rounds up. Here u is
	// 2^-23, and the product (1+2^-e)(1-2^-e) 2^-24.
	const n = 9
	fa, fb := make([]float32, 2*n), make([]float32, 2*n)
	for i := range n {
		e := math.Ldexp(1, -(15 + i))
		fa[i], fa[n+i] = 1, float32((1-e)*0x1p-12)
		fb[2*i], fb[2*i+1] = float32(1+float64(2*i+1)*0x1p-23), float32((1+e)*0x1p-12)
	}
	patch("fused", wide, n, n, make([]float32, n*n), fa, fb)
	// Products below the smallest normal number, which some processors make zero when they are told to be fast.
	fa, fb = make([]float32, n), make([]float32, n)
	for i := range n {
		fa[i], fb[i] = float32(math.Ldexp(1.3, -60-i)), float32(math.Ldexp(-0.7, -70-i))
	}
	patch("subnormal", wide, n, n, make([]float32, n*n), fa, fb)
	// Half a unit of a stored 1, to the even side and to the odd, and a little more, which the addition in f32 loses before that.
	for i, dtype := range []tensor.DType{k.dtype(tensor.BF16), k.dtype(tensor.F16)} {
		half := map[tensor.DType]float64{tensor.BF16: 0x1p-8, tensor.F16: 0x1p-11, tensor.F32: 0x1p-24}[dtype]
		fa := make([]float32, 2*n)
		for j := range n {
			fa[j], fa[n+j] = float32(float64(2*j+1)*half), float32(float64(2*j+1)*half+0x1p-26)
		}
		w := make([]float32, 2*n)
		for j := range w {
			w[j] = 1
		}
		patch(fmt.Sprintf("ties %d", i), dtype, 1, 2*n, w, fa, []float32{1})
	}
	a.base = &Base{shelf: s, digest: digest("rounding base"), files: s.write()}
	a.files = a.write()
	return a
}

func testRounding(t T, k *kit) {
	client, a := k.start(t), k.roundingAdapter(t)
	load(t, client, a.base)
	checkEvents(t, client, a)
}

func testMergeRounding(t T, k *kit) {
	client, a := k.start(t), k.roundingAdapter(t)
	req, output := mergeRequest(t, a)
	if _, err := drain(client.Merge(t.Context(), req)); err != nil {
		t.Fatalf("Merge: %v", err)
	}
	after, err := os.ReadFile(output.Path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for i, p := range a.patches {
		place, want := req.Tensors[i].Merged, a.merged(p).bytes
		if got := after[place.Offset : place.Offset+place.Length]; !bytes.Equal(got, want) {
			t.Errorf("%s: %s", p.Tensor, firstDifference(got, want, place))
		}
	}
}
