package kernel

// lanes is the number of partial sums of a dot product, each of one f32. Element j goes to lane j mod 16 by a fused multiply-add, and the lanes
// are added pairwise at distance 8, 4, 2 and 1. So the bits depend neither on the width of registers nor on how many products advance together.
const lanes = 16

// matvecKernels are dot products of stored rows with f32 vectors, over whole blocks of as many elements as there are lanes; no count may be 0.
// Where rows is 0 there are none, and portable code does it all.
type matvecKernels struct {
	rows           int // that dots take at a time
	bf16, f16, f32 storedKernels

	// Products with many vectors go over one part of the lanes after the other: as many lanes as fit a register. What belongs to different parts
	// lies apart, part bytes where a kernel is told so. tiles are by falling number of vectors, the last of one.
	parts int
	tiles []matvecTile
	// sums adds the lanes of four dot products at a time.
	sums func(dst, lanes *float32, part, fours int)

	// weigh adds n rows that lie stride bytes apart to dst, each times its weight, in the order of the rows.
	weigh func(dst, weights, rows *float32, stride, n, blocks int)
	// exp replaces numbers as exponential does, after a multiply-add with scale and shift.
	exp func(x, constants *float32, scale, shift float32, blocks int)
}

// storedKernels read weights of one dtype.
type storedKernels struct {
	// dots multiplies rows that lie stride bytes apart with one vector, lanes added.
	dots func(dst *float32, w *byte, stride int, x *float32, blocks int)
	// split converts to f32, exactly, and deals the lanes to the parts.
	split func(dst *float32, src *byte, part, blocks int)
	// few multiply tileRows rows as they are stored with some vectors, by falling number of vectors, the last of one. Where there are none,
	// rows are widened first, which is worth it with many vectors only.
	few []fewTile
}

// fewTile computes one part of the lanes of tileRows rows, which lie stride bytes apart, and of some vectors, which lie apart bytes apart:
// lanes[vector][row][width]. w and x begin at the part. Meanwhile it has another row of weights fetched from memory, ahead of its use.
type fewTile struct {
	vectors int
	run     func(lanes *float32, w *byte, stride int, x *float32, apart int, ahead *byte, blocks int)
}

// matvecTile continues one part of the lanes of tileRows rows by some vectors: with width = 16/parts, lanes[vector][row][width],
// w[row][block][width], x[vector][block][width], all f32.
type matvecTile struct {
	vectors int
	run     func(lanes, w, x *float32, blocks int)
}

// tileRows is how many rows every matvecTile takes.
const tileRows = 4

var matvecGeneric = matvecKernels{}
