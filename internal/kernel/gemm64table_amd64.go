package kernel

var (
	gemm64AVX512 = gemm64Generic
	gemm64AVX2   = gemm64Generic
)
