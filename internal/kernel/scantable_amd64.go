package kernel

var (
	scanAVX512 = scanKernels{
		bf16:    scanLoops{scanWidenBF16AVX512, censusBF16AVX512, signedBF16AVX512, lossBF16AVX512},
		f16:     scanLoops{scanWidenF16AVX512, censusF16AVX512, signedF16AVX512, lossF16AVX512},
		f32:     scanLoops{scanWidenF32AVX512, censusF32AVX512, signedF32AVX512, lossF32AVX512},
		formats: formatsAVX2, // they look at samples, and sums in four lanes gain nothing from wider vectors
	}
	scanAVX2 = scanKernels{
		bf16:    scanLoops{scanWidenBF16AVX2, censusBF16AVX2, signedBF16AVX2, lossBF16AVX2},
		f16:     scanLoops{scanWidenF16AVX2, censusF16AVX2, signedF16AVX2, lossF16AVX2},
		f32:     scanLoops{scanWidenF32AVX2, censusF32AVX2, signedF32AVX2, lossF32AVX2},
		formats: formatsAVX2,
	}
	formatsAVX2 = formatLoops{roundBF16AVX2, roundF16AVX2, roundF32AVX2, roundQ8AVX2, roundQ4AVX2, roundNF4AVX2, roundingAVX2}
)
