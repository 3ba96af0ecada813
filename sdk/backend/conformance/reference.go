package conformance

import (
	"bytes"
	"math"
	"math/big"
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// reference is what one patch must give.
type reference struct {
	bytes   []byte
	changed int64
}

// merged computes a patch entry by entry, as backendpb.Patch says.
func (a *Adapter) merged(p *backendpb.Patch) reference {
	weight := a.base.tensor(p.Tensor)
	dtype, _ := tensor.ParseDType(weight.Dtype)
	before := a.base.bytes(weight)
	start, v := a.started(p), a.directions(p)
	gains := a.gains(p, v)
	after := make([]float32, len(v))
	for at, x := range v {
		switch gained := gains(at) * x; {
		case start[at] != start[at]:
			after[at] = start[at] // a NaN stays that NaN
		case gained != gained:
			after[at] = math.Float32frombits(0x7fc00000)
		default:
			after[at] = gained
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

// matrix is the rows and columns of a patched tensor: those of its factors, or its first dimension by all others together.
func (a *Adapter) matrix(p *backendpb.Patch) (rows, cols int) {
	if p.A == nil {
		return matrix(a.base.tensor(p.Tensor))
	}
	blocks := max(1, int(p.Blocks))
	if p.FanInFanOut {
		return blocks * int(p.A.Shape[1]), int(p.B.Shape[0]) / blocks
	}
	return int(p.B.Shape[0]), int(p.A.Shape[1])
}

// matrix is the rows and columns of a tensor that has no factors.
func matrix(row *backendpb.Tensor) (rows, cols int) {
	if len(row.Shape) == 0 {
		return 1, 1
	}
	cols = 1
	for _, d := range row.Shape[1:] {
		cols *= int(d)
	}
	return int(row.Shape[0]), cols
}

// started is f32(W), or what stands in its place.
func (a *Adapter) started(p *backendpb.Patch) []float32 {
	start := slices.Clone(a.base.values[p.Tensor])
	_, cols := a.matrix(p)
	switch {
	case p.Start == nil:
	case len(p.StartRows) == 0:
		copy(start, a.values[p.Start.Name])
	default:
		for i, row := range p.StartRows {
			copy(start[int(row)*cols:], a.values[p.Start.Name][i*cols:(i+1)*cols])
		}
	}
	return start
}

// directions is V = start + delta, where delta = Σ_k fma(f32(s)·B[i,k], A[k,j]) in f32, k ascending from 0, or f32(s)·dense, or nothing at all.
func (a *Adapter) directions(p *backendpb.Patch) []float32 {
	v := a.started(p)
	rows, cols := a.matrix(p)
	switch {
	case p.Dense != nil:
		for at, dense := range a.values[p.Dense.Name] {
			v[at] += float32(float32(p.Scale) * dense) // rounded before it is added
		}
	case p.A != nil:
		fa, fb := a.values[p.A.Name], a.values[p.B.Name]
		blocks := max(1, int(p.Blocks))
		rank, in, out, height := int(p.B.Shape[1]), int(p.A.Shape[1]), int(p.B.Shape[0])/blocks, rows/blocks
		for r := range rows {
			for c := range cols {
				block, i, j := r/height, r%height, c
				if p.FanInFanOut {
					i, j = j, i
				}
				var delta float32
				for k := range rank {
					scaled := float32(p.Scale) * fb[(block*out+i)*rank+k]
					delta = fma(scaled, fa[(block*rank+k)*in+j], delta)
				}
				v[r*cols+c] += delta
			}
		}
	}
	return v
}

// gains returns the gain of each entry of V.
func (a *Adapter) gains(p *backendpb.Patch, v []float32) func(at int) float32 {
	if p.Magnitude == nil {
		return func(int) float32 { return 1 }
	}
	_, cols := a.matrix(p)
	magnitudes := a.values[p.Magnitude.Name]
	ofColumns := p.FanInFanOut || p.MagnitudeOfInputs
	gains := make([]float32, len(magnitudes))
	for i, sum := range backend.SquareOrder(v, cols, len(magnitudes), ofColumns) {
		gains[i] = float32(float64(magnitudes[i]) / math.Sqrt(sum))
	}
	if ofColumns {
		return func(at int) float32 { return gains[at%cols/(cols/len(gains))] }
	}
	return func(at int) float32 { return gains[at/cols] }
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
