package kernel

// gemm64Kernels are gemm32Kernels in f64.
type gemm64Kernels struct {
	rows, cols int
	add        func(k, panels int, a, b, c *float64, stride int)
}

var gemm64Generic = gemm64Kernels{}
