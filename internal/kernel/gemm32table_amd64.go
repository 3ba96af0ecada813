package kernel

var (
	gemm32AVX512 = gemm32Kernels{rows: 12, cols: 32, add: gemm32AddAVX512}
	gemm32AVX2   = gemm32Kernels{rows: 6, cols: 16, add: gemm32AddAVX2}
)
