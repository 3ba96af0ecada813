package kernel

var (
	gemm64AVX512 = gemm64Kernels{rows: 12, cols: 16, add: gemm64AddAVX512, addRows: gemm64AddRowsAVX512, cut: gemm64CutAVX512}
	gemm64AVX2   = gemm64Kernels{rows: 6, cols: 8, add: gemm64AddAVX2, addRows: gemm64AddRowsAVX2, cut: gemm64CutAVX2}
)
