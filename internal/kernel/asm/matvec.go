package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() { families = append(families, family{"matvec", matvec}) }

// lanes is how many partial sums every dot product has, each of one f32.
const (
	lanes     = 16
	laneBytes = 4 * lanes
)

// dotter writes the kernels of the matvec family for one instruction set.
type dotter struct {
	*build.Context
	suffix string
	width  int   // f32 in a register
	rows   int   // stored rows that a dots kernel takes at a time: 4 or 8
	tiles  []int // vectors that a tile kernel takes at a time
	wide   func() reg.VecVirtual
	half   func() reg.VecVirtual // half a register
}

func matvec(ctx *build.Context) {
	for _, d := range []dotter{
		{Context: ctx, suffix: "AVX2", width: 8, rows: 4, tiles: []int{3, 2, 1}, wide: ctx.YMM, half: ctx.XMM},
		{Context: ctx, suffix: "AVX512", width: 16, rows: 8, tiles: []int{6, 4, 2, 1}, wide: ctx.ZMM, half: ctx.YMM},
	} {
		for _, dtype := range []string{"BF16", "F16", "F32"} {
			d.dots(dtype)
			d.split(dtype)
			for _, vectors := range d.tiles {
				d.few(dtype, vectors)
			}
		}
		for _, vectors := range d.tiles {
			d.tile(vectors)
		}
		d.sums()
		d.weigh()
		d.exp()
	}
}

// parts is how many registers hold the lanes of one dot product.
func (d dotter) parts() int { return lanes / d.width }

func size(dtype string) int {
	if dtype == "F32" {
		return 4
	}
	return 2
}

// loadWide loads stored weights, as many as fit a register in f32, and widens them.
func (d dotter) loadWide(dtype string, from operand.Mem) reg.VecVirtual {
	w := d.wide()
	switch dtype {
	case "BF16":
		d.VPMOVZXWD(from, w)
		d.VPSLLD(operand.Imm(16), w, w)
	case "F16":
		d.VCVTPH2PS(from, w)
	case "F32":
		d.VMOVUPS(from, w)
	}
	return w
}

func (d dotter) zero() reg.VecVirtual {
	v := d.wide()
	d.VXORPS(v, v, v)
	return v
}

func (d dotter) parameter(name string) reg.GPVirtual {
	r := d.GP64()
	d.Load(d.Param(name), r)
	return r
}

func (d dotter) finish() {
	d.VZEROUPPER()
	d.RET()
}

// strided gives the addresses of rows that lie stride apart, four for each base register.
func (d dotter) strided(base, stride reg.GPVirtual, rows int) func(row, offset int) operand.Mem {
	var triple reg.GPVirtual
	if rows > 3 {
		triple = d.GP64()
		d.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, triple)
	}
	bases := []reg.GPVirtual{base}
	for len(bases)*4 < rows {
		next := d.GP64()
		d.LEAQ(operand.Mem{Base: bases[len(bases)-1], Index: stride, Scale: 4}, next)
		bases = append(bases, next)
	}
	return func(row, offset int) operand.Mem {
		at := operand.Mem{Base: bases[row/4], Disp: offset}
		switch row % 4 {
		case 1:
			at.Index, at.Scale = stride, 1
		case 2:
			at.Index, at.Scale = stride, 2
		case 3:
			at.Index, at.Scale = triple, 1
		}
		return at
	}
}

// advance moves the base registers of strided.
func (d dotter) advance(address func(row, offset int) operand.Mem, rows, bytes int) {
	for row := 0; row < rows; row += 4 {
		d.ADDQ(operand.U32(bytes), address(row, 0).Base)
	}
}

// dots writes the dot products of rows that lie stride bytes apart with one vector.
func (d dotter) dots(dtype string) {
	function(d.Context, "dots"+dtype+d.suffix, "func(dst *float32, w *byte, stride int, x *float32, blocks int)",
		fmt.Sprintf("dots%s%s multiplies %d rows of blocks of 16 stored weights, stride bytes apart, with x.", dtype, d.suffix, d.rows))
	w, stride, x, blocks := d.parameter("w"), d.parameter("stride"), d.parameter("x"), d.parameter("blocks")
	address := d.strided(w, stride, d.rows)
	sums := make([][]reg.VecVirtual, d.rows)
	for row := range sums {
		for range d.parts() {
			sums[row] = append(sums[row], d.zero())
		}
	}
	loop := "loop"
	d.Label(loop)
	for part := range d.parts() {
		v := d.wide()
		d.VMOVUPS(operand.Mem{Base: x, Disp: part * d.width * 4}, v)
		for row := range d.rows {
			from := address(row, part*d.width*size(dtype))
			if dtype == "F32" {
				d.VFMADD231PS(from, v, sums[row][part])
			} else {
				d.VFMADD231PS(d.loadWide(dtype, from), v, sums[row][part])
			}
		}
	}
	d.advance(address, d.rows, lanes*size(dtype))
	d.ADDQ(operand.U32(laneBytes), x)
	d.DECQ(blocks)
	d.JNZ(operand.LabelRef(loop))
	dst := d.parameter("dst")
	for row := 0; row < d.rows; row += 4 {
		d.VMOVUPS(d.sumFour(sums[row:row+4]), operand.Mem{Base: dst, Disp: 4 * row})
	}
	d.finish()
}

// sumFour adds the lanes of four dot products at distance 8, 4, 2 and 1.
func (d dotter) sumFour(sums [][]reg.VecVirtual) reg.VecVirtual {
	var four [4]reg.VecVirtual
	for i, parts := range sums {
		eight := parts[0]
		if d.width == 16 {
			high := d.YMM()
			d.VEXTRACTF64X4(operand.Imm(1), parts[0], high)
			eight = d.YMM()
			d.VADDPS(high, parts[0].AsY(), eight)
		} else {
			d.VADDPS(parts[1], parts[0], eight)
		}
		high := d.XMM()
		if d.width == 16 {
			d.VEXTRACTF32X4(operand.Imm(1), eight, high)
		} else {
			d.VEXTRACTF128(operand.Imm(1), eight, high)
		}
		four[i] = d.XMM()
		d.VADDPS(high, eight.AsX(), four[i])
	}
	// The halves of two products beside each other, twice: then the quarters.
	var two [2]reg.VecVirtual
	for i := range two {
		low, high := d.XMM(), d.XMM()
		d.VUNPCKLPS(four[2*i+1], four[2*i], low)
		d.VUNPCKHPS(four[2*i+1], four[2*i], high)
		two[i] = low
		d.VADDPS(high, low, low)
	}
	low, high := d.XMM(), d.XMM()
	d.VSHUFPS(operand.Imm(0x44), two[1], two[0], low)
	d.VSHUFPS(operand.Imm(0xee), two[1], two[0], high)
	d.VADDPS(high, low, low)
	return low
}

// weigh adds rows of f32 into one, each times its weight, in the order of the rows; sixteen columns are a block. Eight registers of columns stay
// in place while the rows pass by.
func (d dotter) weigh() {
	function(d.Context, "weigh"+d.suffix, "func(dst, weights, rows *float32, stride, n, blocks int)",
		fmt.Sprintf("weigh%s adds n rows, stride bytes apart, to dst, each times its weight; all are of blocks of 16 numbers.", d.suffix))
	dst, rows, stride, blocks := d.parameter("dst"), d.parameter("rows"), d.parameter("stride"), d.parameter("blocks")
	for _, step := range []int{4, 1} {
		again, loop, done := fmt.Sprintf("columns%d", step), fmt.Sprintf("rows%d", step), fmt.Sprintf("less%d", step)
		d.Label(again)
		d.CMPQ(blocks, operand.Imm(uint64(step)))
		d.JLT(operand.LabelRef(done))
		sums := make([]reg.VecVirtual, step*d.parts())
		for i := range sums {
			sums[i] = d.wide()
			d.VMOVUPS(operand.Mem{Base: dst, Disp: i * d.width * 4}, sums[i])
		}
		row, weights, n := d.GP64(), d.parameter("weights"), d.parameter("n")
		d.MOVQ(rows, row)
		d.Label(loop)
		weight := d.wide()
		d.VBROADCASTSS(operand.Mem{Base: weights}, weight)
		for i := range sums {
			d.VFMADD231PS(operand.Mem{Base: row, Disp: i * d.width * 4}, weight, sums[i])
		}
		d.ADDQ(stride, row)
		d.ADDQ(operand.Imm(4), weights)
		d.DECQ(n)
		d.JNZ(operand.LabelRef(loop))
		for i := range sums {
			d.VMOVUPS(sums[i], operand.Mem{Base: dst, Disp: i * d.width * 4})
		}
		d.ADDQ(operand.U32(step*laneBytes), dst)
		d.ADDQ(operand.U32(step*laneBytes), rows)
		d.SUBQ(operand.Imm(uint64(step)), blocks)
		d.JMP(operand.LabelRef(again))
		d.Label(done)
	}
	d.finish()
}

// exp computes exponentials as exponential does in Go: constants are expConstants.
func (d dotter) exp() {
	function(d.Context, "exp"+d.suffix, "func(x *float32, constants *float32, scale, shift float32, blocks int)",
		fmt.Sprintf("exp%s replaces blocks of 16 numbers by exponentials of scale times them plus shift.", d.suffix))
	x, constants, blocks := d.parameter("x"), d.parameter("constants"), d.parameter("blocks")
	constant := func(i int) reg.VecVirtual {
		v := d.wide()
		d.VBROADCASTSS(operand.Mem{Base: constants, Disp: 4 * i}, v)
		return v
	}
	argument := func(name string) reg.VecVirtual {
		at, err := d.Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		v := d.wide()
		d.VBROADCASTSS(at.Addr, v)
		return v
	}
	scale, shift := argument("scale"), argument("shift")
	least, greatest, log2e, round, high, low, one := constant(0), constant(1), constant(2), constant(3), constant(4), constant(5), constant(6)
	const coefficients, count = 7, 6
	d.Label("loop")
	for part := range d.parts() {
		at := operand.Mem{Base: x, Disp: part * d.width * 4}
		y := d.wide()
		d.VMOVUPS(at, y)
		d.VFMADD213PS(shift, scale, y)
		d.VMAXPS(y, least, y) // of a NaN and a number, both give the first operand
		d.VMINPS(y, greatest, y)
		rounded, n := d.wide(), d.wide()
		d.VMOVUPS(round, rounded)
		d.VFMADD231PS(log2e, y, rounded)
		d.VSUBPS(round, rounded, n)
		d.VFMADD231PS(high, n, y)
		d.VFMADD231PS(low, n, y)
		sum := constant(coefficients)
		for i := 1; i < count; i++ {
			d.VFMADD213PS(constant(coefficients+i), y, sum)
		}
		d.VFMADD213PS(one, y, sum)
		d.VFMADD213PS(one, y, sum)
		d.VPSLLD(operand.Imm(23), rounded, rounded)
		d.VPADDD(one, rounded, rounded)
		d.VMULPS(rounded, sum, sum)
		d.VMOVUPS(sum, at)
	}
	d.ADDQ(operand.U32(laneBytes), x)
	d.DECQ(blocks)
	d.JNZ(operand.LabelRef("loop"))
	d.finish()
}
