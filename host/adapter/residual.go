package adapter

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// residualFactors are the first factors of a module, B0 [out, r] and A0 [r, in], as W_res = W - B0 A0 has them: s is in them.
type residualFactors struct{ b, a *kernel.Matrix }

// addResidual lowers factors that were trained on a residual base, W_res = W - s B0 A0, to factors for the base as it is published:
// W' = W_res + s B A = W + [s B, -s B0] [A; A0], one pair of twice the rank whose scale is 1. It is only for linear modules: embeddings start
// as they do without the method, and PEFT has the methods for no other module.
func (j *joint) addResidual(g *group, t *Target) {
	if !j.Config.residual() || g.embedding {
		return
	}
	method := j.Config.InitWeights
	if len(t.Base.Shape) != 2 || lastElement(t.Name) == inProjection {
		j.refuseModule(g, fault.New(fault.ADUnsupported, "module %s is no linear module, and %s is for those only", g.module, method).
			Fix("give the configuration that was saved with these weights"))
		return
	}
	pair := t.Pair
	switch {
	case pair.Rank > min(t.In, t.Out):
		j.refuseModule(g, fault.New(fault.ADUnsupported, "the rank is %d and the weight is %d x %d, which has fewer directions for %s to take",
			pair.Rank, t.Out, t.In, method).Fix("give the configuration that was saved with these weights"))
		return
	case method == initPiSSA && pair.Scale <= 0:
		j.refuseModule(g, fault.New(fault.ADUnsupported, "the scale is %g, and %s takes its square root", pair.Scale, method).
			Fix("give the configuration that was saved with these weights"))
		return
	case method == initOLoRA && t.FanInFanOut:
		j.refuseModule(g, fault.New(fault.ADUnsupported, "module %s is a Conv1D, which %s takes for a weight that is stored the other way round",
			g.module, method).Fix("merge the adapter with PEFT"))
		return
	}
	first := sync.OnceValues(func() (residualFactors, error) {
		if method == initOLoRA {
			return j.projection(t, pair.Rank, pair.Scale)
		}
		return j.principal(t, pair.Rank)
	})
	rank := pair.Rank
	a := j.derived.add(t.Name+".lora_A", tensor.F32, []int{2 * rank, t.In}, func(w io.Writer) error {
		before, err := first()
		if err != nil {
			return err
		}
		own, err := j.floats(pair.A)
		if err != nil {
			return err
		}
		return writeF32(w, append(own, before.a.Data...))
	})
	b := j.derived.add(t.Name+".lora_B", tensor.F32, []int{t.Out, 2 * rank}, func(w io.Writer) error {
		before, err := first()
		if err != nil {
			return err
		}
		own, err := j.floats(pair.B)
		if err != nil {
			return err
		}
		all := make([]float64, 0, 2*len(own))
		for o := range t.Out {
			for _, v := range own[o*rank : (o+1)*rank] {
				all = append(all, pair.Scale*v)
			}
			for _, v := range before.b.Row(o) {
				all = append(all, -v)
			}
		}
		return writeF32(w, all)
	})
	t.Pair = Pair{Module: pair.Module, A: a, B: b, Rank: 2 * rank, Alpha: pair.Alpha, Scale: 1}
}

// leastGap is how far apart, against the largest, the last singular value that PiSSA takes and the next must be: below it the decomposition
// in f32 that training began with took a direction that cannot be known.
const leastGap = 0x1p-20

// principal is PiSSA's: s B0 A0 is the sum of the r largest singular triples of W [out, in] (peft/tuners/lora/layer.py, pissa_init).
func (j *joint) principal(t *Target, rank int) (residualFactors, error) {
	most := min(t.In, t.Out)
	u, s, v, err := kernel.TopSVD(context.Background(), j.rows(t.Base), t.FanInFanOut, min(rank+1, most))
	if err != nil {
		return residualFactors{}, j.underivable(t, initPiSSA, err)
	}
	if rank < most && s[rank-1]-s[rank] <= leastGap*s[0] && s[rank-1] > leastGap*s[0] {
		return residualFactors{}, j.underivable(t, initPiSSA, fmt.Errorf("its singular values %d and %d are %g and %g, too near to tell their "+
			"directions apart", rank, rank+1, s[rank-1], s[rank]))
	}
	first := residualFactors{b: kernel.NewMatrix(t.Out, rank), a: kernel.NewMatrix(rank, t.In)}
	for k := range rank {
		root := math.Sqrt(s[k])
		for o := range t.Out {
			first.b.Row(o)[k] = root * u.Row(o)[k]
		}
		for i := range t.In {
			first.a.Row(k)[i] = root * v.Row(i)[k]
		}
	}
	return first, nil
}

// projection is OLoRA's: with W = Q R, B0 is the first r columns of Q and A0 the first r rows of R, so B0 A0 = Q_r Q_rᵀ W, whatever the signs
// of Q's columns, and s B0 A0 is taken off (peft/tuners/lora/layer.py, olora_init). Q_r are the first r columns of W, made orthonormal.
func (j *joint) projection(t *Target, rank int, scale float64) (residualFactors, error) {
	rows := j.rows(t.Base)
	q := kernel.NewMatrix(rank, t.Out) // Q_rᵀ
	row := make([]float64, t.In)
	for o := range t.Out {
		if err := rows.Read(row, o, 1); err != nil {
			return residualFactors{}, j.underivable(t, initOLoRA, err)
		}
		for k := range rank {
			q.Row(k)[o] = row[k]
		}
	}
	if dependent := orthonormalize(q); dependent >= 0 {
		return residualFactors{}, j.underivable(t, initOLoRA, fmt.Errorf("its column %d depends on those before it, so Q is not determined", dependent))
	}
	first := residualFactors{b: kernel.NewMatrix(t.Out, rank), a: kernel.NewMatrix(rank, t.In)}
	for o := range t.Out {
		if err := rows.Read(row, o, 1); err != nil {
			return residualFactors{}, j.underivable(t, initOLoRA, err)
		}
		for k := range rank {
			f := q.Row(k)[o]
			first.b.Row(o)[k] = scale * f
			for i, w := range row {
				first.a.Row(k)[i] += float64(f * w)
			}
		}
	}
	return first, nil
}

// orthonormalize makes the rows of a matrix orthonormal, each against those before it, twice, which leaves nothing of them to the precision of
// f64. It returns the first row that depends on those before it, or -1.
func orthonormalize(q *kernel.Matrix) int {
	for k := range q.Rows {
		x := q.Row(k)
		before := length(x)
		for range 2 {
			for l := range k {
				y := q.Row(l)
				var along float64
				for i := range x {
					along += float64(x[i] * y[i])
				}
				for i := range x {
					x[i] -= float64(along * y[i])
				}
			}
		}
		n := length(x)
		if !(n > 0x1p-20*before) { // PEFT computes in f32, where this little is noise
			return k
		}
		for i := range x {
			x[i] /= n
		}
	}
	return -1
}

func length(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v * v)
	}
	return math.Sqrt(sum)
}

// rows reads a weight of the base.
func (j *joint) rows(t base.Tensor) kernel.Rows {
	return kernel.Stored{Ref: t.Ref, Reader: j.base.Reader(t)}
}

// underivable is the fault of a weight whose first factors cannot be had.
func (j *joint) underivable(t *Target, method string, err error) *fault.Error {
	return fault.New(fault.ADUnsupported, "init_lora_weights is %q, and the residual base cannot be derived from %q", method, t.Name).In(j.configFile()).
		At("/init_lora_weights").Wrap(err).Fix("save it again in PEFT with path_initial_model_for_weight_conversion, which gives a plain LoRA")
}
