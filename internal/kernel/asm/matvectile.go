package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tileRows is how many rows of widened weights a tile kernel takes at a time.
const tileRows = 4

// split widens stored weights, and puts each part of the lanes into a place of its own.
func (d dotter) split(dtype string) {
	function(d.Context, "split"+dtype+d.suffix, "func(dst *float32, src *byte, part, blocks int)",
		fmt.Sprintf("split%s%s widens blocks of 16 stored weights. %s", dtype, d.suffix, d.layout()))
	dst, src, blocks := d.parameter("dst"), d.parameter("src"), d.parameter("blocks")
	address := d.strided(dst, d.parameter("part"), d.parts())
	d.Label("loop")
	for part := range d.parts() {
		d.VMOVUPS(d.loadWide(dtype, operand.Mem{Base: src, Disp: part * d.width * size(dtype)}), address(part, 0))
	}
	d.ADDQ(operand.U32(lanes*size(dtype)), src)
	d.ADDQ(operand.U32(4*d.width), dst)
	d.DECQ(blocks)
	d.JNZ(operand.LabelRef("loop"))
	d.finish()
}

// layout says where a kernel expects the lanes of a block.
func (d dotter) layout() string {
	if d.parts() == 1 {
		return "part has no meaning: a register holds all lanes."
	}
	return fmt.Sprintf("Lanes beyond %d lie part bytes after the first.", d.width)
}

// tile continues some of the lanes of tileRows rows by some vectors: as many lanes as fit a register.
func (d dotter) tile(vectors int) {
	name := fmt.Sprintf("tile%dx%d%s", tileRows, vectors, d.suffix)
	function(d.Context, name, "func(lanes, w, x *float32, blocks int)",
		fmt.Sprintf("%s continues %d lanes of %d rows by %d vectors, all of blocks of %d f32 and one after the other.",
			name, d.width, tileRows, vectors, d.width))
	bytes := 4 * d.width
	stride, blocks, all := d.GP64(), d.parameter("blocks"), d.parameter("lanes")
	d.IMUL3Q(operand.Imm(uint64(bytes)), blocks, stride)
	weight, vector := d.strided(d.parameter("w"), stride, tileRows), d.strided(d.parameter("x"), stride, vectors)
	var sums [tileRows][]reg.VecVirtual
	for row := range sums {
		for v := range vectors {
			sum := d.wide()
			d.VMOVUPS(operand.Mem{Base: all, Disp: (v*tileRows + row) * bytes}, sum)
			sums[row] = append(sums[row], sum)
		}
	}
	d.Label("loop")
	x := make([]reg.VecVirtual, vectors)
	for v := range x {
		x[v] = d.wide()
		d.VMOVUPS(vector(v, 0), x[v])
	}
	for row := range sums {
		w := d.wide()
		d.VMOVUPS(weight(row, 0), w)
		for v := range x {
			d.VFMADD231PS(w, x[v], sums[row][v])
		}
	}
	d.advance(weight, tileRows, bytes)
	d.advance(vector, vectors, bytes)
	d.DECQ(blocks)
	d.JNZ(operand.LabelRef("loop"))
	d.storeLanes(all, sums)
	d.finish()
}

// few multiplies rows as they are stored with some vectors: as many lanes of each as fit a register.
func (d dotter) few(dtype string, vectors int) {
	name := fmt.Sprintf("few%s%dx%d%s", dtype, tileRows, vectors, d.suffix)
	function(d.Context, name, "func(lanes *float32, w *byte, stride int, x *float32, apart int, ahead *byte, blocks int)",
		fmt.Sprintf("%s multiplies the first %d of each 16 weights of %d stored rows, stride bytes apart, with those of %d vectors, apart bytes apart. "+
			"It has a row ahead fetched.", name, d.width, tileRows, vectors))
	ahead, blocks := d.parameter("ahead"), d.parameter("blocks")
	weight, vector := d.strided(d.parameter("w"), d.parameter("stride"), tileRows), d.strided(d.parameter("x"), d.parameter("apart"), vectors)
	var sums [tileRows][]reg.VecVirtual
	for row := range sums {
		for range vectors {
			sums[row] = append(sums[row], d.zero())
		}
	}
	d.Label("loop")
	d.PREFETCHT0(operand.Mem{Base: ahead})
	x := make([]reg.VecVirtual, vectors)
	for v := range x {
		x[v] = d.wide()
		d.VMOVUPS(vector(v, 0), x[v])
	}
	for row := range sums {
		w := d.loadWide(dtype, weight(row, 0))
		for v := range x {
			d.VFMADD231PS(w, x[v], sums[row][v])
		}
	}
	d.ADDQ(operand.U32(lanes*size(dtype)), ahead)
	d.advance(weight, tileRows, lanes*size(dtype))
	d.advance(vector, vectors, laneBytes)
	d.DECQ(blocks)
	d.JNZ(operand.LabelRef("loop"))
	d.storeLanes(d.parameter("lanes"), sums)
	d.finish()
}

// storeLanes writes the lanes of a tile: vector, row, lane.
func (d dotter) storeLanes(to reg.GPVirtual, sums [tileRows][]reg.VecVirtual) {
	for row := range sums {
		for v, sum := range sums[row] {
			d.VMOVUPS(sum, operand.Mem{Base: to, Disp: (v*tileRows + row) * 4 * d.width})
		}
	}
}

// sums adds lanes.
func (d dotter) sums() {
	function(d.Context, "sums"+d.suffix, "func(dst, lanes *float32, part, fours int)",
		fmt.Sprintf("sums%s adds the lanes of four times as many dot products as fours. %s", d.suffix, d.layout()))
	dst, all, fours := d.parameter("dst"), d.parameter("lanes"), d.parameter("fours")
	address := d.strided(all, d.parameter("part"), d.parts())
	d.Label("loop")
	sums := make([][]reg.VecVirtual, 4)
	for i := range sums {
		for part := range d.parts() {
			v := d.wide()
			d.VMOVUPS(address(part, 4*i*d.width), v)
			sums[i] = append(sums[i], v)
		}
	}
	d.VMOVUPS(d.sumFour(sums), operand.Mem{Base: dst})
	d.ADDQ(operand.U32(4*4*d.width), all)
	d.ADDQ(operand.Imm(16), dst)
	d.DECQ(fours)
	d.JNZ(operand.LabelRef("loop"))
	d.finish()
}
