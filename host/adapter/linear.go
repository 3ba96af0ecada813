package adapter

import (
	"io"
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// bind makes the targets of one module that PEFT wraps as such: linear, Conv1D, convolution, embedding or MultiheadAttention.
func (j *joint) bind(g *group) {
	switch {
	case g.embedding:
		j.bindEmbedding(g)
		return
	case j.bindHead(g):
		return
	}
	if e := j.tie.refused(g.module, false); e != nil {
		j.refuseModule(g, e)
		return
	}
	if isEmbedding(g.module) {
		j.refuseModule(g, fault.New(fault.ADUnsupported, "%s is an embedding, and these are the factors of a linear module", g.module).
			Fix("give an adapter of the linear modules only"))
		return
	}
	module := j.renamed(g.module)
	weight, ok := j.base.Tensor(module + weightSuffix)
	if !ok {
		if weight, ok = j.base.Tensor(module + "." + inProjection); ok {
			j.bindAttention(g, weight)
			return
		}
		j.lacks(g, module+weightSuffix)
		return
	}
	if g.attention != "" {
		j.noteOutputProjection(g)
	}
	j.bindMatrix(g, weight, len(weight.Shape) == 2 && j.fansOut(g.module))
}

// bindMatrix makes the target of a weight that is stored out x in, in x out with fanInFanOut, or as a convolution's.
func (j *joint) bindMatrix(g *group, weight base.Tensor, fanInFanOut bool) {
	for _, i := range g.indices() {
		j.targetOf[i] = weight.Name
	}
	shape := weight.Shape
	switch {
	case len(shape) < 2 || len(shape) > maxConvolution || slices.Contains(shape, 0):
		j.refuseModule(g, fault.New(fault.ADShape, "the base's %q has shape %v, and an adapted module's weight is a matrix or a convolution's",
			weight.Name, shape).Fix("give the base this adapter was trained on"))
		return
	case !mergeable(weight):
		j.refuseModule(g, unmergeable(weight.Name, weight.DType))
		return
	case !g.paired:
		return // its factors are refused already
	}
	pair := g.factors
	in, out := pair.A.Shape[1], pair.B.Shape[0]
	if a := j.Tensors[g.a].Shape; len(shape) > 2 || len(a) > 2 {
		if len(a) != len(shape) || !slices.Equal(a[1:], shape[1:]) || out != shape[0] {
			j.refuseModule(g, fault.New(fault.ADShape, "the base's %q has shape %v, and the factors are for %v", weight.Name, shape,
				append([]int{out}, a[1:]...)).Fix("give the base this adapter was trained on%s", j.trainedOn()))
			return
		}
	} else {
		rows, cols := out, in
		if fanInFanOut {
			rows, cols = in, out
		}
		if shape[0] != rows || shape[1] != cols {
			j.refuseModule(g, j.shapeFault(g, weight, rows, cols, fanInFanOut))
			return
		}
	}
	t := j.change(g, weight)
	if t == nil {
		return
	}
	t.Pair, t.In, t.Out, t.FanInFanOut = pair, in, out, fanInFanOut
	j.addMagnitude(g, t)
	j.addBias(g, out)
	j.addResidual(g, t)
}

func (j *joint) shapeFault(g *group, weight base.Tensor, rows, cols int, fanInFanOut bool) *fault.Error {
	order, other := "out x in", "true"
	if fanInFanOut {
		order, other = "in x out", "false"
	}
	e := fault.New(fault.ADShape, "the base's %q has shape %v, and the factors are for [%d %d] (%s)", weight.Name, weight.Shape, rows, cols, order)
	if !g.embedding && weight.Shape[0] == cols && weight.Shape[1] == rows {
		return e.Fix("set fan_in_fan_out to %s if the adapter was trained on this base", other)
	}
	return e.Fix("give the base this adapter was trained on%s", j.trainedOn())
}

// trainedOn names the base that the configuration names, for a remedy.
func (j *joint) trainedOn() string {
	if j.Config.BaseModel == "" {
		return ""
	}
	return "; adapter_config.json names " + strconv.Quote(j.Config.BaseModel)
}

// addBias makes the target of a trained bias of lora_B: b' = b + s bB, as factors of one column: B is bB and A is 1 (peft/tuners/lora/layer.py,
// Linear.merge).
func (j *joint) addBias(g *group, out int) {
	if g.bias < 0 {
		return
	}
	added := &j.Tensors[g.bias]
	name := j.renamed(g.module) + ".bias"
	stored, ok := j.base.Tensor(name)
	j.targetOf[g.bias] = name
	switch {
	case !ok:
		j.refuse(g.bias, fault.New(fault.ADTarget, "the base has no tensor %q, and the adapter adds to it (lora_bias)", name).
			Fix("give the base this adapter was trained on%s", j.trainedOn()))
		return
	case !mergeable(stored):
		j.refuse(g.bias, unmergeable(name, stored.DType))
		return
	case added.Elements() != out || len(stored.Shape) != 1 || stored.Shape[0] != out:
		j.refuse(g.bias, fault.New(fault.ADShape, "it has shape %v and the base's %q %v, and the module has %d outputs", added.Shape, name,
			stored.Shape, out).Fix("give the base this adapter was trained on%s", j.trainedOn()))
		return
	}
	j.checkFinite(g.bias)
	t := j.change(g, stored)
	if t == nil {
		return
	}
	one := j.derived.add(name+".lora_A", tensor.F32, []int{1, 1}, func(w io.Writer) error { return writeF32(w, []float64{1}) })
	t.Pair = Pair{Module: g.module, A: one, B: reshaped(added.Tensor, out, 1), Rank: 1, Alpha: g.factors.Alpha, Scale: g.factors.Scale}
	t.In, t.Out = 1, out
}
