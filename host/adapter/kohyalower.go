package adapter

import (
	"strconv"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// fits reports whether a weight of that shape can take the change. Ones at the end count for nothing, since a linear weight is a convolution
// of kernel 1; factors may have the dimensions after the first as one.
func (c *change) fits(shape []int) bool {
	if len(shape) == 0 || shape[0] != c.out || len(shape) == 1 && c.kind != wholeDelta {
		return false
	}
	want, have := withoutOnes(shape[1:]), withoutOnes(c.inner)
	if len(want) == len(have) {
		for i := range want {
			if want[i] != have[i] {
				return false
			}
		}
		return true
	}
	return c.kind != wholeDelta && len(c.inner) == 1 && c.inner[0] == product(shape[1:])
}

// lower makes the targets of one module: of its weight, and of its bias. The module is the base's, or the file's name where there is no base.
func (s *assembly) lower(m *singleModule, module string) {
	weight, bias := module+".weight", module+".bias"
	biasPart := m.spare(biasDelta, normBias)
	for _, i := range m.tensors {
		s.targetOf[i] = weight
		if s.Tensors[i].Key.Part == biasPart {
			s.targetOf[i] = bias
		}
	}
	if m.change.kind != noChange {
		s.lowerWeight(m, module, weight)
	}
	if biasPart != "" {
		s.lowerBias(m, biasPart, module, bias)
	}
}

func (s *assembly) lowerWeight(m *singleModule, module, name string) {
	c := &m.change
	target := Target{Name: name, Pair: Pair{Module: module, Alpha: m.alpha, Scale: m.scale}, Blocks: 1, Out: c.out, In: product(c.inner)}
	inputs := c.inner
	if s.base != nil {
		t, _ := s.base.Tensor(name)
		if e := s.checkWeight(c, module, t); e != nil {
			s.rejectPart(m, c.part, e)
			return
		}
		target.Base, inputs = t, t.Shape[1:]
	}
	if len(inputs) > 0 {
		found, e := s.file.setMagnitude(s.Adapter, m, &target, c.out, inputs[0])
		if e != nil {
			s.rejectPart(m, m.magnitudePart(), e)
			return
		}
		s.axes[found]++
	}
	if e := s.setChange(m, &target); e != nil {
		s.rejectPart(m, c.part, e)
		return
	}
	s.targets = append(s.targets, target)
}

// checkWeight tells why a weight of the base cannot take the change.
func (s *assembly) checkWeight(c *change, module string, t base.Tensor) *fault.Error {
	name := strconv.Quote(t.Name)
	switch {
	case !mergeable(t):
		return fault.New(fault.ADDType, "the base's %s is stored as %v, and only F32, F16 and BF16 are merged", name, t.DType).
			Fix("give the base in one of these types")
	case !c.fits(t.Shape):
		return fault.New(fault.ADShape, "the base's %s has shape %v, and the change is for %v", name, t.Shape, append([]int{c.out}, c.inner...)).
			Fix("give the base this adapter was trained on")
	case (isEmbedding(module) || isHead(module)) && s.base.Config.TieWordEmbeddings:
		return fault.New(fault.ADTied, "the base ties its output head to its input embedding, and the adapter adapts only %s", module).
			Fix("train without this module, or give a base whose head is untied")
	case c.kind != wholeDelta && len(t.Shape) == 2 && conv1DModels[s.base.Config.ModelType] && !isEmbedding(module) && !isHead(module):
		return fault.New(fault.ADShape, "a %s model stores %s in x out, and the factors of a single file are for a weight that is stored out x in",
			s.base.Config.ModelType, name).Fix("train the adapter with PEFT, which knows such weights")
	}
	return nil
}

// lowerBias makes the target of a bias' change.
func (s *assembly) lowerBias(m *singleModule, part Part, module, name string) {
	t := m.tensor(s.Adapter, part)
	target := Target{Name: name, Pair: Pair{Module: module, Alpha: 1, Scale: 1}, Blocks: 1, Out: t.Elements(), In: 1, Dense: t}
	if s.base != nil {
		stored, ok := s.base.Tensor(name)
		var e *fault.Error
		switch {
		case !ok:
			e = fault.New(fault.ADTarget, "module %s of the base has no bias", module).Fix("give the base this adapter was trained on")
		case !mergeable(stored):
			e = fault.New(fault.ADDType, "the base's %q is stored as %v, and only F32, F16 and BF16 are merged", name, stored.DType).
				Fix("give the base in one of these types")
		case len(withoutOnes(t.Shape)) > 1 || len(stored.Shape) != 1 || stored.Shape[0] != t.Elements():
			e = fault.New(fault.ADShape, "the base's %q has shape %v, and the change is for %v", name, stored.Shape, t.Shape).
				Fix("give the base this adapter was trained on")
		}
		if e != nil {
			s.rejectPart(m, part, e)
			return
		}
		target.Base = stored
	}
	s.targets = append(s.targets, target)
}
