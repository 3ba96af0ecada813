package kernel

var gemm32NEON = gemm32Generic
