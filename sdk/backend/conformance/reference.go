package conformance

import (
	"bytes"
	"math/big"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// reference is what one patch must give.
type reference struct {
	bytes   []byte
	changed int64
}

// merged computes a patch entry by entry: W' = round(f32(W) + delta), delta = Σ_k fma(f32(s)·B[i,k], A[k,j]) in f32, k ascending from 0.
func (a *Adapter) merged(p *backendpb.Patch) reference {
	weight := a.base.tensor(p.Tensor)
	dtype, _ := tensor.ParseDType(weight.Dtype)
	before := a.base.bytes(weight)
	w := decode(before, dtype)
	fa, fb := a.values[p.A.Name], a.values[p.B.Name]
	rows, cols, rank := int(weight.Shape[0]), int(weight.Shape[1]), int(p.A.Shape[0])
	in := int(p.A.Shape[1])
	after := make([]float32, len(w))
	for r := range rows {
		for c := range cols {
			i, j := r, c
			if p.FanInFanOut {
				i, j = c, r
			}
			var delta float32
			for k := range rank {
				scaled := float32(p.Scale) * fb[i*rank+k]
				delta = fma(scaled, fa[k*in+j], delta)
			}
			after[r*cols+c] = w[r*cols+c] + delta
		}
	}
	out := reference{bytes: encode(after, dtype)}
	size := dtype.Size()
	for at := 0; at < len(before); at += size {
		if !bytes.Equal(before[at:at+size], out.bytes[at:at+size]) {
			out.changed++
		}
	}
	return out
}

// fma is x·y+z rounded once, by exact arithmetic: 1000 bits hold any sum of an f32 and a product of two.
func fma(x, y, z float32) float32 {
	exact := func(v float32) *big.Float { return new(big.Float).SetPrec(1000).SetFloat64(float64(v)) }
	sum := new(big.Float).SetPrec(1000).Mul(exact(x), exact(y))
	sum.Add(sum, exact(z))
	rounded, _ := sum.Float32()
	return rounded
}

// product is W' x for the probe of a tensor, in the lanes that backend.Probe tells of.
func product(name string, stored []byte, dtype tensor.DType, rows, cols int, seed uint64) []float64 {
	w := decode(stored, dtype)
	x := backend.Probe(seed, name, cols)
	out := make([]float64, rows)
	for i := range out {
		var lanes [16]float64
		for j := range cols {
			lanes[j%16] += float64(w[i*cols+j]) * float64(x[j]) // exact before it is added
		}
		for distance := 8; distance > 0; distance /= 2 {
			for l := range distance {
				lanes[l] += lanes[l+distance]
			}
		}
		out[i] = lanes[0]
	}
	return out
}
