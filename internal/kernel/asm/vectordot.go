package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot writes the inner products of the first vector with each of the others: element i goes to lane i mod 16, and the lanes are added
// pairwise at distance 8, 4, 2 and 1.
func (v vector64) dot(name, signature string, vectors ...string) {
	const lanes = 16
	v.begin(name, signature)
	n, at := v.pointers(vectors...)
	sums := make([][]reg.VecVirtual, len(at)-1)
	for s := range sums {
		for range lanes / v.lanes {
			sum := v.register()
			v.VXORPD(sum.AsX(), sum.AsX(), sum.AsX())
			sums[s] = append(sums[s], sum)
		}
	}
	multiply := func(part, disp int) {
		left := v.register()
		v.VMOVUPD(operand.Mem{Base: at[0], Disp: disp}, left)
		for s := range sums {
			v.VFMADD231PD(operand.Mem{Base: at[s+1], Disp: disp}, left, sums[s][part])
		}
	}
	v.CMPQ(n, operand.I32(lanes))
	v.JL(operand.LabelRef("tail0"))
	v.Label("loop")
	for part := range sums[0] {
		multiply(part, 8*v.lanes*part)
	}
	v.advance(n, lanes, at)
	v.CMPQ(n, operand.I32(lanes))
	v.JGE(operand.LabelRef("loop"))
	parts := lanes / v.lanes
	for part := range parts {
		v.Label("tail" + digit(part))
		if part < parts-1 {
			v.CMPQ(n, operand.I32(v.lanes))
			v.JL(operand.LabelRef("head" + digit(part)))
			multiply(part, 0)
			v.advance(n, v.lanes, at)
			continue
		}
		v.JMP(operand.LabelRef("head" + digit(part)))
	}
	for part := range parts {
		v.Label("head" + digit(part))
		v.TESTQ(n, n)
		v.JZ(operand.LabelRef("sum"))
		v.multiplyHead(n, at, sums, part)
		if part < parts-1 {
			v.JMP(operand.LabelRef("sum"))
		}
	}
	v.Label("sum")
	var results []reg.Register
	for s := range sums {
		results = append(results, v.pairwise(sums[s]))
	}
	v.VZEROUPPER()
	for s, result := range results {
		v.Store(result, v.ReturnIndex(s))
	}
	v.RET()
}

func digit(i int) string { return string(rune('0' + i)) }

// multiplyHead adds the products of the last n values to so many lanes of a part, and leaves the other lanes as they are.
func (v vector64) multiplyHead(n reg.GPVirtual, at []reg.GPVirtual, sums [][]reg.VecVirtual, part int) {
	if v.lanes == 8 {
		head, left := v.headOf(n), v.ZMM()
		v.VMOVUPD_Z(operand.Mem{Base: at[0]}, head, left)
		for s := range sums {
			right := v.ZMM()
			v.VMOVUPD_Z(operand.Mem{Base: at[s+1]}, head, right)
			v.VFMADD231PD(right, left, head, sums[s][part])
		}
		return
	}
	table, head, left := v.GP64(), v.YMM(), v.YMM()
	v.LEAQ(v.heads.Offset(32), table)
	v.NEGQ(n)
	v.VMOVUPD(operand.Mem{Base: table, Index: n, Scale: 8}, head)
	v.VMASKMOVPD(operand.Mem{Base: at[0]}, head, left)
	for s := range sums {
		right := v.YMM()
		v.VMASKMOVPD(operand.Mem{Base: at[s+1]}, head, right)
		v.VFMADD213PD(sums[s][part], left, right)
		v.VBLENDVPD(head, right, sums[s][part], sums[s][part])
	}
}

// headOf is the mask of the first n of eight values.
func (v vector64) headOf(n reg.GPVirtual) reg.OpmaskVirtual {
	bits, head := v.GP64(), v.K()
	v.MOVQ(operand.I32(-1), bits)
	v.BZHIQ(n, bits, bits)
	v.KMOVB(bits.As32(), head)
	return head
}

// pairwise adds sixteen lanes.
func (v vector64) pairwise(parts []reg.VecVirtual) reg.Register {
	for ; len(parts) > 1; parts = parts[:len(parts)/2] {
		for i := range len(parts) / 2 {
			v.VADDPD(parts[i+len(parts)/2], parts[i], parts[i])
		}
	}
	sum, high := parts[0], v.YMM()
	if v.lanes == 8 {
		v.VEXTRACTF64X4(operand.U8(1), sum, high)
		v.VADDPD(high, sum.AsY(), sum.AsY())
	}
	v.VEXTRACTF128(operand.U8(1), sum.AsY(), high.AsX())
	v.VADDPD(high.AsX(), sum.AsX(), sum.AsX())
	v.VUNPCKHPD(sum.AsX(), sum.AsX(), high.AsX())
	v.VADDSD(high.AsX(), sum.AsX(), sum.AsX())
	return sum.AsX()
}
