package kernel

var gemm64NEON = gemm64Generic
