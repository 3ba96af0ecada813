package kernel

import (
	"unsafe"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// MatVec computes dst = W x for a row-major W of rows x cols elements of dtype, any weight type, accumulating in f32 in the fixed order of lanes.
// F64 weights are rounded to f32 first. dst has at least rows elements, x at least cols, w at least rows x cols. It does not allocate where cols
// is a multiple of 16 and there are 8 rows or more.
func MatVec(dst []float32, w []byte, dtype tensor.DType, rows, cols int, x []float32) {
	ParallelMatVec(dst, w, dtype, rows, cols, x, 1)
}

// stored returns the kernels of a dtype; there are none for F64.
func (k *matvecKernels) stored(dtype tensor.DType) *storedKernels {
	switch dtype {
	case tensor.BF16:
		return &k.bf16
	case tensor.F16:
		return &k.f16
	case tensor.F32:
		return &k.f32
	case tensor.F64:
		return &noKernels
	}
	panic("matvec of dtype " + dtype.String())
}

var noKernels storedKernels

// minRowsBytes is the least weight a goroutine is started for: below it, starting costs more than it saves.
const minRowsBytes = 64 << 10

// ParallelMatVec is MatVec with its rows dealt to at most workers goroutines. Each row is computed by one of them, so the result is that
// of MatVec whatever workers is.
func ParallelMatVec(dst []float32, w []byte, dtype tensor.DType, rows, cols int, x []float32, workers int) {
	k := &active.matvec
	stored, stride := k.stored(dtype), cols*dtype.Size()
	dst, w, x = dst[:rows], w[:rows*stride], x[:cols]
	workers = max(1, min(workers, len(w)/minRowsBytes))
	switch {
	case cols == 0:
		clear(dst)
	case stored.dots == nil:
		if workers == 1 {
			dotRows(dst, w, dtype, x)
		} else {
			deal(rows, 1, workers, func(first, count int) { dotRows(dst[first:first+count], w[first*stride:], dtype, x) })
		}
	case cols%lanes != 0 || rows < k.rows:
		ParallelMatMat(dst, w, dtype, rows, cols, x, 1, workers)
	default:
		// Rows that advance together are far apart: so they are as many streams through memory, each of them straight. Memory is fetched ahead of
		// such streams, and much less well of rows beside each other, where all streams begin anew after every row.
		apart := rows / k.rows
		if workers == 1 {
			k.sweep(dst, w, stored, stride, x, apart, 0, apart)
		} else {
			deal(apart, 1, workers, func(first, count int) { k.sweep(dst, w, stored, stride, x, apart, first, count) })
		}
		if rows%k.rows != 0 {
			stored.dots(&dst[rows-k.rows], &w[(rows-k.rows)*stride], stride, &x[0], cols/lanes) // some are computed twice
		}
	}
}

// sweep computes count rows from row first on, together with those that lie once, twice and so on as many rows apart behind them.
func (k *matvecKernels) sweep(dst []float32, w []byte, stored *storedKernels, stride int, x []float32, apart, first, count int) {
	s := matvecScratches.Get().(*matvecScratch)
	for i := first; i < first+count; i++ {
		stored.dots(&s.sums[0], &w[i*stride], apart*stride, &x[0], len(x)/lanes)
		for row, sum := range s.sums[:k.rows] {
			dst[i+row*apart] = sum
		}
	}
	matvecScratches.Put(s)
}

// Dots computes the dot products of x with as many rows of len(x) numbers as dst has elements, in the order of lanes, as MatVec does. rows are
// one after the other.
func Dots(dst, rows, x []float32) {
	k := &active.matvec
	n, cols := len(dst), len(x)
	rows = rows[:n*cols]
	if cols%lanes != 0 || cols == 0 || k.rows == 0 || n < k.rows {
		for i := range dst {
			dst[i] = dotPortable(rows[i*cols:(i+1)*cols], x)
		}
		return
	}
	for i := 0; i < n; i += k.rows {
		i := min(i, n-k.rows)
		k.f32.dots(&dst[i], (*byte)(unsafe.Pointer(&rows[i*cols])), 4*cols, &x[0], cols/lanes)
	}
}

// AddWeighted adds rows of len(dst) numbers to dst, each times its weight: dst[j] = fma(weights[i], row i[j], dst[j]), i ascending. rows are one
// after the other.
func AddWeighted(dst, weights, rows []float32) {
	cols := len(dst)
	rows = rows[:len(weights)*cols]
	done := 0
	if k := &active.matvec; k.weigh != nil && cols >= lanes && len(weights) > 0 {
		done = cols / lanes * lanes
		k.weigh(&dst[0], &weights[0], &rows[0], 4*cols, len(weights), cols/lanes)
	}
	for j := done; j < cols; j++ {
		for i, weight := range weights {
			dst[j] = FMA32(weight, rows[i*cols+j], dst[j])
		}
	}
}
