package main

import (
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	families = append(families, family{"vector", func(ctx *build.Context) {
		heads := headMasks(ctx)
		for _, v := range []vector64{{ctx, "AVX2", 4, heads}, {ctx, "AVX512", 8, heads}} {
			v.dot("dot", "func(n int, x, y *float64) float64", "x", "y")
			v.dot("dot2", "func(n int, v, x, y *float64) (vx, vy float64)", "v", "x", "y")
			v.each("axpy", "func(n int, a float64, x, y *float64)", []string{"a"}, []string{"x", "y"}, 1, func(o ops64, s, v []reg.VecVirtual) {
				o.fma(s[0], v[0], v[1])
			})
			v.each("axpy2", "func(n int, a, b float64, v, x, y *float64)", []string{"a", "b"}, []string{"v", "x", "y"}, 2,
				func(o ops64, s, v []reg.VecVirtual) {
					o.fma(s[0], v[0], v[1])
					o.fma(s[1], v[0], v[2])
				})
			v.each("gather2", "func(n int, a, b float64, x, y, sum *float64)", []string{"a", "b"}, []string{"x", "y", "sum"}, 1,
				func(o ops64, s, v []reg.VecVirtual) {
					o.fma(s[0], v[0], v[2])
					o.fma(s[1], v[1], v[2])
				})
			v.each("rotate", "func(n int, cosine, sine float64, x, y *float64)", []string{"cosine", "sine"}, []string{"x", "y"}, 2,
				func(o ops64, s, v []reg.VecVirtual) {
					from, to := o.product(s[1], v[1]), o.product(s[0], v[1])
					o.fma(s[1], v[0], to)
					o.fms(s[0], v[0], from)
					v[0], v[1] = from, to
				})
			v.each("scale", "func(n int, a float64, x *float64)", []string{"a"}, []string{"x"}, 1, func(o ops64, s, v []reg.VecVirtual) {
				v[0] = o.product(s[0], v[0])
			})
		}
		transpose8(ctx)
	}})
}

// headMasks is four ones and three zeros: read from 8*(4-n) on, the mask of the first n of four values.
func headMasks(ctx *build.Context) operand.Mem {
	masks := ctx.StaticGlobal("headMasks64")
	ctx.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 7 {
		value := operand.U64(0)
		if i < 4 {
			value = 1<<64 - 1
		}
		ctx.AddDatum(8*i, value)
	}
	return masks
}

// vector64 writes loops over f64 values in vectors of so many lanes.
type vector64 struct {
	*build.Context
	name  string
	lanes int
	heads operand.Mem
}

func (v vector64) register() reg.VecVirtual {
	if v.lanes == 8 {
		return v.ZMM()
	}
	return v.YMM()
}

// begin begins the function of a field of vectorKernels.
func (v vector64) begin(field, signature string) {
	name := "vector" + strings.ToUpper(field[:1]) + field[1:] + v.name
	function(v.Context, name, signature, name+" is vectorKernels."+field+".")
}

// pointers loads n and the named arguments.
func (v vector64) pointers(names ...string) (n reg.GPVirtual, at []reg.GPVirtual) {
	for _, name := range append([]string{"n"}, names...) {
		at = append(at, v.GP64())
		v.Load(v.Param(name), at[len(at)-1])
	}
	return at[0], at[1:]
}

func (v vector64) advance(n reg.GPVirtual, values int, at []reg.GPVirtual) {
	for _, p := range at {
		v.ADDQ(operand.I32(8*values), p)
	}
	v.SUBQ(operand.I32(values), n)
}

// ops64 is arithmetic on whole vectors, or on the lowest lanes.
type ops64 struct {
	vector64
	scalar bool
}

// fma adds a*b to sum, fused.
func (o ops64) fma(a, b, sum reg.VecVirtual) {
	if o.scalar {
		o.VFMADD231SD(a.AsX(), b.AsX(), sum.AsX())
		return
	}
	o.VFMADD231PD(a, b, sum)
}

// fms is a*b less sum, fused, into sum.
func (o ops64) fms(a, b, sum reg.VecVirtual) {
	if o.scalar {
		o.VFMSUB231SD(a.AsX(), b.AsX(), sum.AsX())
		return
	}
	o.VFMSUB231PD(a, b, sum)
}

func (o ops64) product(a, b reg.VecVirtual) reg.VecVirtual {
	product := o.register()
	if o.scalar {
		o.VMULSD(a.AsX(), b.AsX(), product.AsX())
		return product
	}
	o.VMULPD(a, b, product)
	return product
}

// each writes a loop that does the same to every element. body leaves in values what is stored, of which that is the last ones, so many.
func (v vector64) each(name, signature string, scalars, vectors []string, stored int, body func(o ops64, scalars, values []reg.VecVirtual)) {
	v.begin(name, signature)
	n, at := v.pointers(vectors...)
	var spread []reg.VecVirtual
	for _, scalar := range scalars {
		r := v.register()
		address, err := v.Param(scalar).Resolve()
		if err != nil {
			panic(err)
		}
		v.VBROADCASTSD(address.Addr, r)
		spread = append(spread, r)
	}
	step := func(disp int, o ops64, load, store func(disp int, at reg.GPVirtual, r reg.VecVirtual)) {
		values := make([]reg.VecVirtual, len(at))
		for i := range at {
			values[i] = v.register()
			load(disp, at[i], values[i])
		}
		body(o, spread, values)
		for i := len(at) - stored; i < len(at); i++ {
			store(disp, at[i], values[i])
		}
	}
	load := func(disp int, at reg.GPVirtual, r reg.VecVirtual) { v.VMOVUPD(operand.Mem{Base: at, Disp: disp}, r) }
	store := func(disp int, at reg.GPVirtual, r reg.VecVirtual) { v.VMOVUPD(r, operand.Mem{Base: at, Disp: disp}) }
	for _, loop := range []struct {
		name    string
		vectors int
	}{{"loop", 2}, {"one", 1}} {
		v.Label(loop.name)
		v.CMPQ(n, operand.I32(loop.vectors*v.lanes))
		v.JL(operand.LabelRef("after" + loop.name))
		for i := range loop.vectors {
			step(8*v.lanes*i, ops64{v, false}, load, store)
		}
		v.advance(n, loop.vectors*v.lanes, at)
		if loop.vectors > 1 {
			v.JMP(operand.LabelRef(loop.name))
		}
		v.Label("after" + loop.name)
	}
	v.Label("tail")
	v.TESTQ(n, n)
	v.JZ(operand.LabelRef("done"))
	if v.lanes == 8 {
		head := v.headOf(n)
		step(0, ops64{v, false},
			func(disp int, at reg.GPVirtual, r reg.VecVirtual) { v.VMOVUPD_Z(operand.Mem{Base: at}, head, r) },
			func(disp int, at reg.GPVirtual, r reg.VecVirtual) { v.VMOVUPD(r, head, operand.Mem{Base: at}) })
	} else {
		step(0, ops64{v, true},
			func(disp int, at reg.GPVirtual, r reg.VecVirtual) { v.VMOVSD(operand.Mem{Base: at}, r.AsX()) },
			func(disp int, at reg.GPVirtual, r reg.VecVirtual) { v.VMOVSD(r.AsX(), operand.Mem{Base: at}) })
		v.advance(n, 1, at)
		v.JMP(operand.LabelRef("tail"))
	}
	v.Label("done")
	v.VZEROUPPER()
	v.RET()
}
