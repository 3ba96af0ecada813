package kernel

import (
	"unsafe"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// MatVec computes dst = W x for a row-major W of rows x cols elements of dtype, any weight type, accumulating in f32 in the fixed order of lanes.
// F64 weights are rounded to f32 first. dst has at least rows elements, x at least cols, w at least rows x cols. It does not allocate where cols
// is a multiple of 16 and there are 8 rows or more.
func MatVec(dst []float32, w []byte, dtype tensor.DType, rows, cols int, x []float32) {
	k := &active.matvec
	stored, stride := k.stored(dtype), cols*dtype.Size()
	dst, w, x = dst[:rows], w[:rows*stride], x[:cols]
	switch {
	case cols == 0:
		clear(dst)
	case stored.dots == nil:
		for i := range dst {
			dst[i] = dotStored(w[i*stride:(i+1)*stride], dtype, x)
		}
	case cols%lanes != 0 || rows < k.rows:
		MatMat(dst, w, dtype, rows, cols, x, 1)
	default:
		for i := 0; i < rows; i += k.rows {
			i := min(i, rows-k.rows) // the last rows may be computed twice
			stored.dots(&dst[i], &w[i*stride], stride, &x[0], cols/lanes)
		}
	}
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
	stride := cols * dtype.Size()
	if workers = min(workers, rows*stride/minRowsBytes); workers <= 1 {
		MatVec(dst, w, dtype, rows, cols, x)
		return
	}
	deal(rows, max(tileRows, active.matvec.rows), workers, func(first, count int) {
		MatVec(dst[first:], w[first*stride:(first+count)*stride], dtype, count, cols, x)
	})
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
