package conformance

import (
	"math"
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// formed is one weight and the patch of it. What is zero the patch does not have.
type formed struct {
	name       string
	dtype      tensor.DType // of the weight
	shape      []int64
	rows, cols int64 // of the matrix that the factors are for, where it is not the first dimension by all others
	rank       int64
	blocks     int32
	transposed bool
	dense      tensor.DType
	start      tensor.DType
	startRows  []int64
	magnitudes int64
	ofInputs   bool
	scale      float64
}

// forms are what a backend must name in Describe to be sent the patch.
func (f formed) forms() (needed []string) {
	for _, form := range []struct {
		has  bool
		name string
	}{
		{len(f.shape) != 2, backendpb.FormReshaped}, {f.blocks > 1, backendpb.FormBlocks}, {f.dense != tensor.Invalid, backendpb.FormDense},
		{f.start != tensor.Invalid, backendpb.FormStart}, {f.magnitudes > 0, backendpb.FormMagnitude},
	} {
		if form.has {
			needed = append(needed, form.name)
		}
	}
	return needed
}

// formedWeights are weights with patches of every form, and of forms together. Shapes are odd, and parts are of every dtype that the contract has.
var formedWeights = []formed{
	{name: "convolution", dtype: tensor.F16, shape: []int64{10, 6, 3, 3}, rank: 3, scale: 1.5},
	{name: "vector as column", dtype: tensor.F32, shape: []int64{37}, rank: 1, scale: 2},
	{name: "vector as row", dtype: tensor.BF16, shape: []int64{37}, rows: 1, cols: 37, rank: 2, scale: -1},
	{name: "experts as one matrix", dtype: tensor.BF16, shape: []int64{3, 8, 20}, rows: 24, cols: 20, rank: 5, scale: 1},
	{name: "number", dtype: tensor.F32, shape: []int64{}, rank: 2, scale: 1},

	{name: "four blocks", dtype: tensor.BF16, shape: []int64{24, 41}, rank: 3, blocks: 4, scale: 0.7},
	{name: "blocks of one row", dtype: tensor.F32, shape: []int64{13, 19}, rank: 2, blocks: 13, scale: 1},
	{name: "transposed blocks", dtype: tensor.F16, shape: []int64{21, 17}, rank: 4, blocks: 3, transposed: true, scale: 1.25},
	{name: "experts", dtype: tensor.BF16, shape: []int64{3, 8, 20}, rows: 24, cols: 20, rank: 2, blocks: 3, scale: 1},

	{name: "dense", dtype: tensor.F32, shape: []int64{19, 33}, dense: tensor.F32, scale: 1.3},
	{name: "dense of BF16", dtype: tensor.F16, shape: []int64{7, 65}, dense: tensor.BF16, scale: -0.3},
	{name: "dense of F16", dtype: tensor.BF16, shape: []int64{1, 5}, dense: tensor.F16, scale: 1},
	{name: "dense vector", dtype: tensor.F32, shape: []int64{31}, dense: tensor.F32, scale: 1},

	{name: "start", dtype: tensor.BF16, shape: []int64{9, 35}, start: tensor.BF16},
	{name: "start to be rounded", dtype: tensor.BF16, shape: []int64{9, 35}, start: tensor.F32},
	{name: "start and factors", dtype: tensor.F32, shape: []int64{14, 18}, start: tensor.F16, rank: 3, scale: 1},
	{name: "start and dense", dtype: tensor.F32, shape: []int64{14, 18}, start: tensor.BF16, dense: tensor.F32, scale: 0.5},
	{name: "rows", dtype: tensor.F16, shape: []int64{19, 12}, start: tensor.F32, startRows: []int64{17, 3, 4, 0, 18}},
	{name: "rows and factors", dtype: tensor.BF16, shape: []int64{19, 12}, start: tensor.BF16, startRows: []int64{5, 6, 1}, rank: 2, scale: 1},
	{name: "bias", dtype: tensor.F32, shape: []int64{23}, start: tensor.F32},

	{name: "magnitudes", dtype: tensor.BF16, shape: []int64{18, 53}, rank: 3, magnitudes: 18, scale: 2},
	{name: "magnitudes of columns", dtype: tensor.F16, shape: []int64{29, 21}, rank: 2, transposed: true, magnitudes: 21, scale: 1},
	{name: "magnitudes of inputs", dtype: tensor.F32, shape: []int64{16, 30}, rank: 2, magnitudes: 10, ofInputs: true, scale: 1},
	{name: "magnitudes of all inputs", dtype: tensor.F32, shape: []int64{16, 7}, rank: 2, magnitudes: 7, ofInputs: true, scale: 1},
	{name: "magnitudes of a convolution", dtype: tensor.F32, shape: []int64{6, 4, 3, 3}, rank: 2, magnitudes: 6, scale: 1},
	{name: "magnitudes and dense", dtype: tensor.F32, shape: []int64{11, 18}, dense: tensor.F32, magnitudes: 11, scale: 1.1},
	{name: "magnitudes of blocks", dtype: tensor.BF16, shape: []int64{12, 20}, rank: 2, blocks: 3, magnitudes: 12, scale: 1},
	{name: "magnitudes of transposed blocks", dtype: tensor.F32, shape: []int64{12, 20}, rank: 2, blocks: 3, transposed: true, magnitudes: 20, scale: 1},
	{name: "magnitudes of a start", dtype: tensor.F32, shape: []int64{12, 20}, start: tensor.F32, magnitudes: 12},
}

// formedAdapter makes a base of these weights, and an adapter of their patches.
func (k *kit) formedAdapter(t T, name string, weights ...formed) *Adapter {
	s, a := newShelf(t, 41), &Adapter{shelf: newShelf(t, 42), name: name}
	for i, w := range weights {
		row := s.add(i%2, w.name, k.dtype(w.dtype), w.shape, s.numbers(int(entries(w.shape)), 0.3))
		p := &backendpb.Patch{Tensor: w.name, Scale: w.scale, Blocks: w.blocks, FanInFanOut: w.transposed, StartRows: w.startRows, MagnitudeOfInputs: w.ofInputs}
		rows, cols := matrix(row)
		if w.rows > 0 {
			rows, cols = int(w.rows), int(w.cols)
		}
		add := func(part string, dtype tensor.DType, values []float32, shape ...int64) *backendpb.Tensor {
			return a.add(i%2, w.name+"."+part, dtype, shape, values)
		}
		if w.rank > 0 {
			blocks := max(1, int64(w.blocks))
			out, in := int64(rows)/blocks, int64(cols)
			if w.transposed {
				out, in = in, out
			}
			dtype := mergeable[i%len(mergeable)]
			p.A = add("A", dtype, a.numbers(int(blocks*w.rank*in), 0.2), blocks*w.rank, in)
			p.B = add("B", dtype, a.numbers(int(blocks*out*w.rank), 0.2), blocks*out, w.rank)
		}
		if w.dense != tensor.Invalid {
			p.Dense = add("dense", w.dense, a.numbers(rows*cols, 0.2), w.shape...)
		}
		switch {
		case w.startRows != nil:
			p.Start = add("start", w.start, a.numbers(len(w.startRows)*cols, 0.3), int64(len(w.startRows)), int64(cols))
		case w.start != tensor.Invalid:
			values := a.numbers(rows*cols, 0.3)
			values[0] = float32(math.Copysign(0, -1)) // that nothing is added to stays so
			p.Start = add("start", w.start, values, w.shape...)
		}
		if w.magnitudes > 0 {
			values := a.numbers(int(w.magnitudes), 1)
			for i, v := range values {
				values[i] = float32(math.Abs(float64(v))) + 0.25
			}
			p.Magnitude = add("magnitude", mergeable[i%len(mergeable)], values, w.magnitudes)
		}
		a.patches = append(a.patches, p)
	}
	a.base = &Base{shelf: s, digest: digest(name + " base"), files: s.write()}
	a.files = a.write()
	return a
}

// testForm returns the case of the patches that have a form, and beside it only forms that the backend names.
func testForm(form string) func(T, *kit) {
	return func(t T, k *kit) {
		var weights []formed
		for _, w := range formedWeights {
			if slices.Contains(w.forms(), form) && k.names(w.forms()...) {
				weights = append(weights, w)
			}
		}
		k.checkForms(t, k.formedAdapter(t, form, weights...))
	}
}

// checkForms stages and merges, as far as the backend does that.
func (k *kit) checkForms(t T, a *Adapter) {
	t.Helper()
	client := k.start(t)
	if slices.Contains(k.levels, backend.Merging) {
		checkMerge(t, client, a)
	}
	if slices.Contains(k.levels, backend.Staging) {
		load(t, client, a.base)
		checkEvents(t, client, a)
		checkProbes(t, client, a)
	}
}

// names reports whether Describe names all of these forms.
func (k *kit) names(forms ...string) bool {
	return !slices.ContainsFunc(forms, func(form string) bool { return !slices.Contains(k.described.Forms, form) })
}

// testStartNaN replaces numbers by some that are not: that is no overflow, and a NaN keeps its payload.
func testStartNaN(t T, k *kit) {
	a := k.formedAdapter(t, "NaN", formed{name: "NaN", dtype: tensor.F32, shape: []int64{3, 7}, start: k.dtype(tensor.F32)})
	place := a.bytes(a.patches[0].Start)
	dtype := k.dtype(tensor.F32)
	for i, v := range []float32{math.Float32frombits(0x7fe00000), math.Float32frombits(0xffc00000), float32(math.Inf(1)), float32(math.Inf(-1))} {
		copy(place[i*5*dtype.Size():], encode([]float32{v}, dtype))
	}
	a.values[a.patches[0].Start.Name] = decode(place, dtype)
	a.files = a.write()
	if client := k.start(t); slices.Contains(k.levels, backend.Merging) {
		checkMerge(t, client, a)
	} else {
		load(t, client, a.base)
		checkEvents(t, client, a)
	}
}

// entries is how many entries a shape has.
func entries(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}
