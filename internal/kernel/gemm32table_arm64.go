package kernel

var gemm32NEON = gemm32Kernels{rows: 6, cols: 16, add: gemm32AddNEON}
