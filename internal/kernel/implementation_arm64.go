package kernel

var implementations = []*implementation{{
	name: "neon", usable: true,
	merge: mergeNEON, gemm32: gemm32NEON, gemm64: gemm64NEON, vector: vectorNEON, matvec: matvecNEON, scan: scanNEON,
}}
