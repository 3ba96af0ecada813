package kernel

// gemm32Kernels add products of f32 matrices, for one register tile of rows by cols. add does so for a strip of rows by panels*cols entries of
// c, whose rows are stride entries apart: each entry c[i,j] becomes the chain fma(a[p,i], b[p,j], c[i,j]) over p = 0 to k-1, ascending. a is k by rows,
// b is panels of k by cols.
type gemm32Kernels struct {
	rows, cols int
	add        func(k, panels int, a, b, c *float32, stride int)
}

var gemm32Generic = gemm32Kernels{}
