package conformance

import (
	"math"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// testFormsRefuse spoils patches that are right.
func testFormsRefuse(t T, k *kit) {
	const reshaped, blocks, dense, start, magnitude = backendpb.FormReshaped, backendpb.FormBlocks, backendpb.FormDense, backendpb.FormStart, backendpb.FormMagnitude
	shorten := func(x *backendpb.Tensor) { x.Shape, x.Length = []int64{1}, x.Length/entries(x.Shape) }
	for _, c := range []struct {
		name   string
		weight string
		forms  []string
		spoil  func(p *backendpb.Patch)
	}{
		{"factors swapped", "convolution", []string{reshaped}, func(p *backendpb.Patch) { p.A, p.B = p.B, p.A }},
		{"factors of another number of entries", "vector as column", []string{reshaped}, func(p *backendpb.Patch) { p.B = proto.CloneOf(p.A) }},
		{"one factor", "convolution", []string{reshaped}, func(p *backendpb.Patch) { p.B = nil }},
		{"more blocks than factors have", "four blocks", []string{blocks}, func(p *backendpb.Patch) { p.Blocks = 5 }},
		{"blocks of other rows", "four blocks", []string{blocks}, func(p *backendpb.Patch) { p.Blocks = 2 }},
		{"fewer blocks than none", "four blocks", []string{blocks}, func(p *backendpb.Patch) { p.Blocks = -1 }},
		{"blocks without factors", "dense", []string{blocks, dense}, func(p *backendpb.Patch) { p.Blocks = 19 }},
		{"factors and dense", "start and factors", []string{start, dense}, func(p *backendpb.Patch) { p.Dense = proto.CloneOf(p.Start) }},
		{"dense of too few entries", "dense", []string{dense}, func(p *backendpb.Patch) { shorten(p.Dense) }},
		{"dense of integers", "dense", []string{dense}, func(p *backendpb.Patch) { p.Dense.Dtype = "I32" }},
		{"dense past the end", "dense", []string{dense}, func(p *backendpb.Patch) { p.Dense.Offset = 1 << 40 }},
		{"scale NaN", "dense", []string{dense}, func(p *backendpb.Patch) { p.Scale = math.NaN() }},
		{"nothing", "dense", []string{dense}, func(p *backendpb.Patch) { p.Dense = nil }},
		{"start of too few entries", "start", []string{start}, func(p *backendpb.Patch) { shorten(p.Start) }},
		{"start of integers", "start", []string{start}, func(p *backendpb.Patch) { p.Start.Dtype = "I16" }},
		{"fewer rows than the start has", "rows", []string{start}, func(p *backendpb.Patch) { p.StartRows = p.StartRows[1:] }},
		{"row twice", "rows", []string{start}, func(p *backendpb.Patch) { p.StartRows[0] = p.StartRows[1] }},
		{"row past the end", "rows", []string{start}, func(p *backendpb.Patch) { p.StartRows[0] = 19 }},
		{"row before the first", "rows", []string{start}, func(p *backendpb.Patch) { p.StartRows[0] = -1 }},
		{"rows without a start", "rows and factors", []string{start}, func(p *backendpb.Patch) { p.Start = nil }},
		{"magnitudes and nothing else", "magnitudes", []string{magnitude}, func(p *backendpb.Patch) { p.A, p.B = nil, nil }},
		{"too few magnitudes", "magnitudes", []string{magnitude}, func(p *backendpb.Patch) { shorten(p.Magnitude) }},
		{"magnitudes of integers", "magnitudes", []string{magnitude}, func(p *backendpb.Patch) { p.Magnitude.Dtype = "I16" }},
		{"uneven runs of inputs", "magnitudes", []string{magnitude}, func(p *backendpb.Patch) { p.MagnitudeOfInputs = true }},
		{"inputs and outputs", "magnitudes of columns", []string{magnitude}, func(p *backendpb.Patch) { p.MagnitudeOfInputs = true }},
		{"inputs without magnitudes", "magnitudes of inputs", []string{magnitude}, func(p *backendpb.Patch) { p.Magnitude = nil }},
	} {
		if !k.names(c.forms...) {
			continue
		}
		t.Run(c.name, func(t T) {
			i := slices.IndexFunc(formedWeights, func(w formed) bool { return w.name == c.weight })
			k.checkRefused(t, k.formedAdapter(t, c.name, formedWeights[i]), c.spoil)
		})
	}
	if k.names(magnitude) {
		t.Run("an output of no length", func(t T) {
			k.checkRefused(t, k.emptyOutput(t), func(*backendpb.Patch) {})
		})
	}
}

// emptyOutput has magnitudes for rows of which the last is zero, and has nothing added to it.
func (k *kit) emptyOutput(t T) *Adapter {
	a := k.formedAdapter(t, "no length", formed{name: "no length", dtype: tensor.F32, shape: []int64{4, 6}, rank: 1, magnitudes: 4, scale: 1})
	clear(a.base.bytes(a.base.tensors[0])[3*6*k.dtype(tensor.F32).Size():])
	b := a.bytes(a.patches[0].B)
	clear(b[len(b)/4*3:])
	a.base.files, a.files = a.base.write(), a.write()
	return a
}

// checkRefused spoils an adapter's only patch, and wants it to be refused as one that cannot be right.
func (k *kit) checkRefused(t T, a *Adapter, spoil func(*backendpb.Patch)) {
	t.Helper()
	client := k.start(t)
	if slices.Contains(k.levels, backend.Merging) {
		req, _ := mergeRequest(t, a)
		spoil(req.Tensors[0].Patch)
		_, err := drain(client.Merge(t.Context(), req))
		wantCode(t, "Merge", err, codes.InvalidArgument)
	}
	if slices.Contains(k.levels, backend.Staging) {
		load(t, client, a.base)
		req := a.request()
		spoil(req.Patches[0])
		_, err := drain(client.Stage(t.Context(), req))
		wantCode(t, "Stage", err, codes.InvalidArgument)
		if s := currentStatus(t, client); len(s.Generations) != 0 {
			t.Errorf("left behind: %v", s.Generations)
		}
	}
}
