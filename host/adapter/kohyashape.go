package adapter

import (
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// measureFactors reads up · down: down is r x in, or r x in x kernel, and up is out x r with ones behind.
func measureFactors(a *Adapter, m *singleModule) (change, Part, *fault.Error) {
	down, up := m.tensor(a, loraDown), m.tensor(a, loraUp)
	c := change{}
	if len(down.Shape) < 2 || len(up.Shape) < 2 || !onlyOnes(up.Shape[2:]) {
		return c, loraUp, fault.New(fault.ADShape, "lora_down has shape %v and lora_up %v, which are not r x in and out x r", down.Shape, up.Shape).
			Fix("save the adapter again; this one is damaged")
	}
	c.out, c.inner, c.rank, c.ranks = up.Shape[0], down.Shape[1:], down.Shape[0], []int{down.Shape[0]}
	if up.Shape[1] != c.rank {
		e := fault.New(fault.ADRankMismatch, "lora_down has rank %d (shape %v) and lora_up rank %d (shape %v)", c.rank, down.Shape, up.Shape[1], up.Shape)
		if up.Shape[0] == down.Shape[1] {
			return c, loraDown, e.Fix("store lora_down as r x in and lora_up as out x r: they are swapped, or both are transposed")
		}
		return c, loraDown, e.Fix("save the adapter again; the factors are from two adapters")
	}
	c.a, c.b = asMatrix(down), asMatrix(up)
	return c, "", nil
}

// measureTucker reads up · (core · down): down is r x in, the core r x r x kernel, up out x r.
func measureTucker(a *Adapter, m *singleModule) (change, Part, *fault.Error) {
	down, mid, up := m.tensor(a, loraDown), m.tensor(a, loraMid), m.tensor(a, loraUp)
	c := change{}
	if len(down.Shape) < 2 || len(up.Shape) < 2 || len(mid.Shape) < 3 || !onlyOnes(up.Shape[2:]) || !onlyOnes(down.Shape[2:]) {
		return c, loraMid, fault.New(fault.ADShape, "lora_down has shape %v, lora_mid %v and lora_up %v, which are not r x in, r x r x kernel and out x r",
			down.Shape, mid.Shape, up.Shape).Fix("save the adapter again; this one is damaged")
	}
	c.out, c.rank, c.ranks = up.Shape[0], down.Shape[0], []int{down.Shape[0]}
	c.inner = append([]int{down.Shape[1]}, mid.Shape[2:]...)
	if up.Shape[1] != c.rank || mid.Shape[0] != c.rank || mid.Shape[1] != c.rank {
		return c, loraMid, fault.New(fault.ADRankMismatch, "lora_down has rank %d, lora_mid ranks %d and %d, and lora_up rank %d", c.rank,
			mid.Shape[0], mid.Shape[1], up.Shape[1]).Fix("save the adapter again; its factors are of different ranks")
	}
	c.b = asMatrix(up)
	return c, "", nil
}

// measureWhole reads a change that is stored whole.
func measureWhole(a *Adapter, m *singleModule) (change, Part, *fault.Error) {
	part := fullDelta
	if !m.has(fullDelta) {
		part = normDelta
	}
	t := m.tensor(a, part)
	return change{out: t.Shape[0], inner: t.Shape[1:]}, part, nil
}

// halfShape is the shape of one half of a LoHa, or of the right factor of a LoKr: b is rows x rank and a rank x inner.
type halfShape struct {
	rows, rank int
	inner      []int
}

// measureHalf holds the two factors of a half, and its core where it has one, against each other. With a core, the first factor is stored
// rank x rows.
func measureHalf(first, second safetensors.Tensor, core *safetensors.Tensor, names string) (halfShape, *fault.Error) {
	damaged := func(code fault.Code) *fault.Error {
		shapes := []any{first.Shape, second.Shape}
		text := "the factors %s have shapes %v and %v, which do not go together"
		if core != nil {
			text = "the factors %s have shapes %v and %v and a core of shape %v, which do not go together"
			shapes = append(shapes, core.Shape)
		}
		return fault.New(code, text, append([]any{names}, shapes...)...).Fix("save the adapter again; this one is damaged")
	}
	if len(first.Shape) < 2 || len(second.Shape) < 2 || !onlyOnes(first.Shape[2:]) {
		return halfShape{}, damaged(fault.ADShape)
	}
	if core == nil {
		h := halfShape{rows: first.Shape[0], rank: first.Shape[1], inner: second.Shape[1:]}
		if second.Shape[0] != h.rank {
			return h, damaged(fault.ADRankMismatch)
		}
		return h, nil
	}
	if len(core.Shape) < 3 || !onlyOnes(second.Shape[2:]) {
		return halfShape{}, damaged(fault.ADShape)
	}
	h := halfShape{rows: first.Shape[1], rank: first.Shape[0], inner: append([]int{second.Shape[1]}, core.Shape[2:]...)}
	if core.Shape[0] != h.rank || core.Shape[1] != second.Shape[0] {
		return h, damaged(fault.ADRankMismatch)
	}
	return h, nil
}

// core is the module's tensor of that part, or nil.
func (m *singleModule) core(a *Adapter, part Part) *safetensors.Tensor {
	if !m.has(part) {
		return nil
	}
	t := m.tensor(a, part)
	return &t
}

// asMatrix is a tensor read as a matrix of its first dimension by all others together: the same bytes.
func asMatrix(t safetensors.Tensor) safetensors.Tensor {
	t.Shape = []int{t.Shape[0], product(t.Shape[1:])}
	return t
}

// asVector is a tensor read as a vector: the same bytes.
func asVector(t safetensors.Tensor) safetensors.Tensor {
	t.Shape = []int{t.Elements()}
	return t
}

func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

func onlyOnes(dims []int) bool { return !slices.ContainsFunc(dims, func(d int) bool { return d != 1 }) }

// withoutOnes drops the ones at the end: a linear weight is a convolution of kernel 1.
func withoutOnes(dims []int) []int {
	for len(dims) > 0 && dims[len(dims)-1] == 1 {
		dims = dims[:len(dims)-1]
	}
	return dims
}

// quoted is a foreign name for a message.
func quoted(name string) string { return strconv.Quote(name) }
