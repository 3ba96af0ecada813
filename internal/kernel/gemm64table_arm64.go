package kernel

var gemm64NEON = gemm64Kernels{rows: 6, cols: 8, add: gemm64AddNEON, addRows: gemm64AddRowsNEON}
