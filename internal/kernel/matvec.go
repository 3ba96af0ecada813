package kernel

import (
	"encoding/binary"
	"math"
	"sync"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// lanes is the number of partial sums of a dot product. Element j goes to lane j mod 8, and the lanes are added pairwise at distance 4, 2, 1.
// Products and sums are rounded to f32 one by one, never fused, so vector code of any width can give the same bits.
const lanes = 8

// MatVec computes dst = W x for a row-major W of rows x cols elements of dtype, any weight type, accumulating in f32 in a fixed order. F64
// weights are rounded to f32 first. dst has at least rows elements, x at least cols, w exactly rows x cols. It does not allocate.
func MatVec(dst []float32, w []byte, dtype tensor.DType, rows, cols int, x []float32) {
	stride := cols * dtype.Size()
	x = x[:cols]
	_ = w[:rows*stride]
	for i := range rows {
		row := w[i*stride : (i+1)*stride]
		switch dtype {
		case tensor.BF16:
			dst[i] = dotBF16(row, x)
		case tensor.F16:
			dst[i] = dotF16(row, x)
		case tensor.F32:
			dst[i] = dotF32(row, x)
		case tensor.F64:
			dst[i] = dotF64(row, x)
		default:
			panic("matvec of dtype " + dtype.String())
		}
	}
}

// minRowsBytes is the least weight a goroutine is started for: below it, starting costs more than it saves.
const minRowsBytes = 64 << 10

// ParallelMatVec is MatVec with its rows dealt to at most workers goroutines. Each row is computed by one of them, so the result is that
// of MatVec whatever workers is.
func ParallelMatVec(dst []float32, w []byte, dtype tensor.DType, rows, cols int, x []float32, workers int) {
	stride := cols * dtype.Size()
	workers = min(workers, rows, rows*stride/minRowsBytes)
	if workers <= 1 {
		MatVec(dst, w, dtype, rows, cols, x)
		return
	}
	var group sync.WaitGroup
	for worker := range workers {
		from, to := rows*worker/workers, rows*(worker+1)/workers
		part := func() { MatVec(dst[from:to], w[from*stride:to*stride], dtype, to-from, cols, x) }
		if worker == workers-1 {
			part() // the caller works too
			break
		}
		group.Go(part)
	}
	group.Wait()
}

func sumLanes(s *[lanes]float32) float32 {
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

func dotBF16(w []byte, x []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(x) >= lanes && len(w) >= 2*lanes {
		low, high := binary.LittleEndian.Uint64(w), binary.LittleEndian.Uint64(w[8:])
		s0 += float32(math.Float32frombits(uint32(low)<<16) * x[0])
		s1 += float32(math.Float32frombits(uint32(low)&0xffff0000) * x[1])
		s2 += float32(math.Float32frombits(uint32(low>>16)&0xffff0000) * x[2])
		s3 += float32(math.Float32frombits(uint32(low>>32)&0xffff0000) * x[3])
		s4 += float32(math.Float32frombits(uint32(high)<<16) * x[4])
		s5 += float32(math.Float32frombits(uint32(high)&0xffff0000) * x[5])
		s6 += float32(math.Float32frombits(uint32(high>>16)&0xffff0000) * x[6])
		s7 += float32(math.Float32frombits(uint32(high>>32)&0xffff0000) * x[7])
		w, x = w[2*lanes:], x[lanes:]
	}
	s := [lanes]float32{s0, s1, s2, s3, s4, s5, s6, s7}
	for j, v := range x {
		s[j] += float32(tensor.BF16ToF32(binary.LittleEndian.Uint16(w[2*j:])) * v)
	}
	return sumLanes(&s)
}

func dotF16(w []byte, x []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(x) >= lanes && len(w) >= 2*lanes {
		low, high := binary.LittleEndian.Uint64(w), binary.LittleEndian.Uint64(w[8:])
		s0 += float32(widenF16(uint16(low)) * x[0])
		s1 += float32(widenF16(uint16(low>>16)) * x[1])
		s2 += float32(widenF16(uint16(low>>32)) * x[2])
		s3 += float32(widenF16(uint16(low>>48)) * x[3])
		s4 += float32(widenF16(uint16(high)) * x[4])
		s5 += float32(widenF16(uint16(high>>16)) * x[5])
		s6 += float32(widenF16(uint16(high>>32)) * x[6])
		s7 += float32(widenF16(uint16(high>>48)) * x[7])
		w, x = w[2*lanes:], x[lanes:]
	}
	s := [lanes]float32{s0, s1, s2, s3, s4, s5, s6, s7}
	for j, v := range x {
		s[j] += float32(widenF16(binary.LittleEndian.Uint16(w[2*j:])) * v)
	}
	return sumLanes(&s)
}

// widenF16 is tensor.F16ToF32 in a form that can be inlined: an f16 whose bits are moved into an f32's fields is too small by 2^112,
// subnormals included, and the exponent of infinities and NaN has then to be raised to f32's. NaN need not be quiet.
func widenF16(h uint16) float32 {
	bits := math.Float32bits(math.Float32frombits(uint32(h&0x8000)<<16|uint32(h&0x7fff)<<13) * 0x1p112)
	if h&0x7c00 == 0x7c00 {
		bits += (0xff - 0x8f) << 23
	}
	return math.Float32frombits(bits)
}

func dotF32(w []byte, x []float32) float32 {
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	for len(x) >= lanes && len(w) >= 4*lanes {
		s0 += float32(math.Float32frombits(binary.LittleEndian.Uint32(w)) * x[0])
		s1 += float32(math.Float32frombits(binary.LittleEndian.Uint32(w[4:])) * x[1])
		s2 += float32(math.Float32frombits(binary.LittleEndian.Uint32(w[8:])) * x[2])
		s3 += float32(math.Float32frombits(binary.LittleEndian.Uint32(w[12:])) * x[3])
		s4 += float32(math.Float32frombits(binary.LittleEndian.Uint32(w[16:])) * x[4])
		s5 += float32(math.Float32frombits(binary.LittleEndian.Uint32(w[20:])) * x[5])
		s6 += float32(math.Float32frombits(binary.LittleEndian.Uint32(w[24:])) * x[6])
		s7 += float32(math.Float32frombits(binary.LittleEndian.Uint32(w[28:])) * x[7])
		w, x = w[4*lanes:], x[lanes:]
	}
	s := [lanes]float32{s0, s1, s2, s3, s4, s5, s6, s7}
	for j, v := range x {
		s[j] += float32(math.Float32frombits(binary.LittleEndian.Uint32(w[4*j:])) * v)
	}
	return sumLanes(&s)
}

func dotF64(w []byte, x []float32) float32 {
	var s [lanes]float32
	for j, v := range x {
		s[j%lanes] += float32(float32(math.Float64frombits(binary.LittleEndian.Uint64(w[8*j:]))) * v)
	}
	return sumLanes(&s)
}
