package merge_test

import (
	"testing"

	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// BenchmarkStage merges one large weight in memory, the backend's work and the host's check of it, for each form beside the plain one. Bytes are those of
// the weight.
func BenchmarkStage(b *testing.B) {
	const rows, cols, rank = 2048, 2048, 16
	weight := func(name string, shape ...int) stored { return stored{name, tensor.BF16, shape} }
	for _, f := range []form{
		{stored: weight("plain", rows, cols), rank: rank, in: cols, out: rows},
		{stored: weight("plain transposed", rows, cols), rank: rank, in: rows, out: cols, fan: true},
		{stored: weight("reshaped", rows, cols/4, 2, 2), rank: rank, in: cols, out: rows},
		{stored: weight("blocks", 8, rows/8, cols), blocks: 8, rank: rank, in: cols, out: rows / 8},
		{stored: weight("dense", rows, cols), dense: []int{rows, cols}},
		{stored: weight("start", rows, cols), start: []int{rows, cols}},
		{stored: weight("start rows", rows, cols), start: []int{4, cols}, rows: []int64{5, 6, 7, 1000}},
		{stored: weight("start and factors", rows, cols), rank: rank, in: cols, out: rows, start: []int{rows, cols}},
		{stored: weight("magnitude", rows, cols), rank: rank, in: cols, out: rows, magnitude: rows},
		{stored: weight("magnitude transposed", rows, cols), rank: rank, in: rows, out: cols, fan: true, magnitude: cols},
		{stored: weight("magnitude of inputs", rows, cols/4, 2, 2), rank: rank, in: cols, out: rows, magnitude: cols / 4, ofInputs: true},
	} {
		b.Run(f.name, func(b *testing.B) {
			made := newFormed(b, 1, []form{f}, nil)
			p, err := merge.NewPlan(made.binding, 1)
			if err != nil {
				b.Fatal(err)
			}
			client := newClient(b, p)
			b.SetBytes(p.Items[0].Base.Length)
			for b.Loop() {
				if _, err := p.Stage(b.Context(), client); err != nil {
					b.Fatal(err)
				}
				if _, err := client.Release(b.Context(), &backendpb.ReleaseRequest{Generation: p.Digest[:]}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCombine computes the change of two adapters of one large weight, by each method.
func BenchmarkCombine(b *testing.B) {
	const rows, cols, rank = 2048, 2048, 16
	f := form{stored: stored{"weight", tensor.BF16, []int{rows, cols}}, rank: rank, in: cols, out: rows}
	weight := newFormedBase(b, 1, []form{f})
	portions := []merge.Portion{
		{Binding: newAdapterOf(b, weight, 1, []form{f}, nil).binding, Scale: 0.7}, {Binding: newAdapterOf(b, weight, 2, []form{f}, nil).binding, Scale: 0.3},
	}
	for _, method := range merge.Methods {
		b.Run(string(method), func(b *testing.B) {
			b.SetBytes(2 * rows * cols)
			for b.Loop() {
				p, err := merge.Combine(b.Context(), portions, merge.Mixture{Method: method})
				if err != nil {
					b.Fatal(err)
				}
				p.Close()
			}
		})
	}
}
