package adapter

import (
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
)

// measureHadamard reads LoHa: two products of the same shape, multiplied entry by entry. The scale is of the first one's rank.
func measureHadamard(a *Adapter, m *singleModule) (change, Part, *fault.Error) {
	first, e := measureHalf(m.tensor(a, hadamard1A), m.tensor(a, hadamard1B), m.core(a, hadamardT1), "hada_w1_a and hada_w1_b")
	if e != nil {
		return change{}, hadamard1A, e
	}
	second, e := measureHalf(m.tensor(a, hadamard2A), m.tensor(a, hadamard2B), m.core(a, hadamardT2), "hada_w2_a and hada_w2_b")
	if e != nil {
		return change{}, hadamard2A, e
	}
	rank := m.tensor(a, hadamard1B).Shape[0]
	c := change{out: first.rows, inner: first.inner, ranks: []int{rank}, rank: rank}
	if first.rows != second.rows || !slices.Equal(first.inner, second.inner) {
		return c, hadamard2A, fault.New(fault.ADShape, "the halves are of weights of %v and %v", append([]int{first.rows}, first.inner...),
			append([]int{second.rows}, second.inner...)).Fix("save the adapter again; this one is damaged")
	}
	return c, "", nil
}

// measureKronecker reads LoKr: the Kronecker product of a small matrix and a larger matrix or kernel, each whole or as a product.
func measureKronecker(a *Adapter, m *singleModule) (change, Part, *fault.Error) {
	var c change
	var left halfShape
	if m.has(kronecker1) {
		t := m.tensor(a, kronecker1)
		if len(t.Shape) < 2 || !onlyOnes(t.Shape[2:]) {
			return c, kronecker1, fault.New(fault.ADShape, "lokr_w1 has shape %v, and must be a matrix", t.Shape).
				Fix("save the adapter again; this one is damaged")
		}
		left = halfShape{rows: t.Shape[0], inner: t.Shape[1:2]}
		if part := m.spare(kronecker1A, kronecker1B); part != "" {
			return c, part, spareFault("lokr_w1")
		}
	} else {
		var e *fault.Error
		if left, e = measureHalf(m.tensor(a, kronecker1A), m.tensor(a, kronecker1B), nil, "lokr_w1_a and lokr_w1_b"); e != nil {
			return c, kronecker1A, e
		}
		if len(left.inner) > 1 {
			left.inner = withoutOnes(left.inner)
		}
		if len(left.inner) > 1 {
			return c, kronecker1B, fault.New(fault.ADShape, "lokr_w1_b has shape %v, and must be a matrix", m.tensor(a, kronecker1B).Shape).
				Fix("save the adapter again; this one is damaged")
		}
		c.ranks = append(c.ranks, left.rank)
	}
	var right halfShape
	if m.has(kronecker2) {
		t := m.tensor(a, kronecker2)
		if len(t.Shape) < 2 {
			return c, kronecker2, fault.New(fault.ADShape, "lokr_w2 has shape %v, and must be a matrix or a kernel", t.Shape).
				Fix("save the adapter again; this one is damaged")
		}
		right = halfShape{rows: t.Shape[0], inner: t.Shape[1:]}
		if part := m.spare(kronecker2A, kronecker2B, kroneckerT2); part != "" {
			return c, part, spareFault("lokr_w2")
		}
	} else {
		var e *fault.Error
		if right, e = measureHalf(m.tensor(a, kronecker2A), m.tensor(a, kronecker2B), m.core(a, kroneckerT2), "lokr_w2_a and lokr_w2_b"); e != nil {
			return c, kronecker2A, e
		}
		c.rank = right.rank
		c.ranks = append(c.ranks, m.tensor(a, kronecker2B).Shape[0])
	}
	width := 1
	if len(left.inner) > 0 {
		width = left.inner[0]
	}
	c.out = left.rows * right.rows
	c.inner = append([]int{width * right.inner[0]}, right.inner[1:]...)
	return c, "", nil
}

// spare is the first of the parts that the module has, or "".
func (m *singleModule) spare(parts ...Part) Part {
	for _, p := range parts {
		if m.has(p) {
			return p
		}
	}
	return ""
}

func spareFault(whole string) *fault.Error {
	return fault.New(fault.ADTwice, "the module has %s whole and as a product", whole).Fix("save the adapter again with one of them")
}
