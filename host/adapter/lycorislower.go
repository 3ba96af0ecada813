package adapter

import (
	"cmp"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// maxJointRank is up to which product of the two ranks a LoHa is given as two factors, each row of which is the product of a row of one
// half and a row of the other. Above it the change is computed whole.
const maxJointRank = 256

// setChange gives a target the change of its weight.
func (s *assembly) setChange(m *singleModule, target *Target) *fault.Error {
	c := &m.change
	if c.kind != twoFactors && c.kind != wholeDelta {
		if e := room(target.In); e != nil { // a row of what is computed
			return e
		}
	}
	switch c.kind {
	case twoFactors:
		target.A, target.B, target.Rank = c.a, c.b, c.rank
	case tuckerFactors:
		return s.setTucker(m, target)
	case hadamardProduct:
		return s.setHadamard(m, target)
	case kroneckerProduct:
		return s.setKronecker(m, target)
	case wholeDelta:
		target.Dense = m.tensor(s.Adapter, c.part)
	}
	return nil
}

// computed plans one matrix of a target, which is called as the target with an ending.
func (s *assembly) computed(m *singleModule, target *Target, ending string, rows, cols, multiplications int,
	open func() func(i int, row []float64)) safetensors.Tensor {
	source := s.Tensors[m.at[m.change.part]].Name
	return s.derived.matrix(computed{name: target.Name + ending, source: source, rows: rows, cols: cols, open: open}, multiplications)
}

// setTucker gives up · (core · down) as two factors: the second is the core times down, r x (in · kernel).
func (s *assembly) setTucker(m *singleModule, target *Target) *fault.Error {
	c, weights := &m.change, s.Weights
	down, mid := m.tensor(s.Adapter, loraDown), m.tensor(s.Adapter, loraMid)
	if e := room(down.Elements(), mid.Elements()); e != nil {
		return e
	}
	target.B, target.Rank = c.b, c.rank
	target.A = s.computed(m, target, ".a", c.rank, target.In, c.rank, func() func(int, []float64) {
		core, factor := decode(weights, mid), decode(weights, down)
		return func(i int, row []float64) { contract(row, core, i, factor) }
	})
	return nil
}

// setHadamard gives LoHa. Entry by entry, (B1·A1) ∘ (B2·A2) is B·A, where column (p,q) of B is column p of B1 times column q of B2, and row
// (p,q) of A is row p of A1 times row q of A2.
func (s *assembly) setHadamard(m *singleModule, target *Target) *fault.Error {
	a, weights := s.Adapter, s.Weights
	open1 := func() half {
		return openHalf(weights, m.tensor(a, hadamard1A), m.tensor(a, hadamard1B), m.core(a, hadamardT1))
	}
	open2 := func() half {
		return openHalf(weights, m.tensor(a, hadamard2A), m.tensor(a, hadamard2B), m.core(a, hadamardT2))
	}
	r1, r2 := s.rankOfHalf(m, hadamard1A, hadamardT1), s.rankOfHalf(m, hadamard2A, hadamardT2)
	if e := cmp.Or(s.reserve(m, target.In, hadamard1A, hadamard1B, hadamardT1), s.reserve(m, target.In, hadamard2A, hadamard2B, hadamardT2)); e != nil {
		return e
	}
	if r1 <= maxJointRank && r2 <= maxJointRank/r1 {
		target.Rank = r1 * r2
		target.A = s.computed(m, target, ".a", target.Rank, target.In, 1, func() func(int, []float64) {
			h1, h2 := open1(), open2()
			return func(i int, row []float64) {
				x, y := h1.right.row(i/r2), h2.right.row(i%r2)
				for j := range row {
					row[j] = x[j] * y[j]
				}
			}
		})
		target.B = s.computed(m, target, ".b", target.Out, target.Rank, 1, func() func(int, []float64) {
			h1, h2 := open1(), open2()
			return func(i int, row []float64) {
				x, y := h1.left.row(i), h2.left.row(i)
				for j := range row {
					row[j] = x[j/r2] * y[j%r2]
				}
			}
		})
		return nil
	}
	if s.base == nil {
		return unboundFault()
	}
	target.Dense = s.computed(m, target, ".dense", target.Out, target.In, r1+r2, func() func(int, []float64) {
		h1, h2 := open1(), open2()
		return func(i int, row []float64) {
			other := make([]float64, len(row))
			combine(row, h1.left.row(i), h1.right)
			combine(other, h2.left.row(i), h2.right)
			for j, v := range other {
				row[j] *= v
			}
		}
	})
	return nil
}

// rankOfHalf is the inner dimension of a half whose first factor is stored rows x rank, or rank x rows with a core.
func (s *assembly) rankOfHalf(m *singleModule, first, core Part) int {
	shape := m.tensor(s.Adapter, first).Shape
	if m.has(core) {
		return shape[0]
	}
	return shape[1]
}

// maxDecoded is how many values a factor may have that is held in memory in f64, once its core is multiplied in: 512 MiB.
const maxDecoded = 1 << 26

// room refuses factors of so many values that memory is not for them.
func room(values ...int) *fault.Error {
	if most := slices.Max(values); most > maxDecoded {
		return fault.New(fault.ADUnsupported, "a factor of %d values has to be held in memory to compute the change; the limit is %d", most, maxDecoded).
			Fix("merge the adapter with the tool that trained it, and give the merged model as the base")
	}
	return nil
}

// reserve counts what it takes to open a half that is in columns wide, and refuses what memory is not for.
func (s *assembly) reserve(m *singleModule, in int, first, second, core Part) *fault.Error {
	a := s.Adapter
	if e := room(m.tensor(a, first).Elements(), m.tensor(a, second).Elements()); e != nil || !m.has(core) {
		return e
	}
	rank := s.rankOfHalf(m, first, core)
	if in > maxDecoded { // so that the product cannot overflow
		return room(in)
	}
	s.derived.work += 2 * float64(rank) * float64(in) * float64(m.tensor(a, second).Shape[0])
	return room(m.tensor(a, core).Elements(), rank*in)
}

// unboundFault refuses a change that is computed at the size of its weight where there is no weight that bounds it.
func unboundFault() *fault.Error {
	return fault.New(fault.ADUnsupported, "its change is no product of two small factors, and has to be computed at the size of the weight").
		Fix("give the base")
}
