package kernel

var scanNEON = scanKernels{
	bf16: scanLoops{widen64BF16NEON, censusBF16NEON, signedBF16NEON, lossBF16NEON},
	f16:  scanLoops{widen64F16NEON, censusF16NEON, signedF16NEON, lossF16NEON},
	f32:  scanLoops{widen64F32NEON, censusF32NEON, signedF32NEON, lossF32NEON},
}
