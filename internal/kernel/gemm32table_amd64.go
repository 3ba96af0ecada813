package kernel

var (
	gemm32AVX512 = gemm32Generic
	gemm32AVX2   = gemm32Generic
)
