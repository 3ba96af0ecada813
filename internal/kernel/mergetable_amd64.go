package kernel

var (
	scaleAVX2 = scaleKernels{
		bf16: scaleRow{widenBF16AVX2, scaleBF16AVX2}, f16: scaleRow{widenF16AVX2, scaleF16AVX2}, f32: scaleRow{widenF32AVX2, scaleF32AVX2},
		squareLanes: squareLanesAVX2, squareEach: squareEachAVX2,
	}
	mergeAVX512 = mergeKernels{
		rows: 12, cols: 32, evenOdd: true,
		bf16: mergeBF16AVX512, f16: mergeF16AVX512, f32: mergeF32AVX512, scale: scaleAVX2,
	}
	mergeAVX2 = mergeKernels{
		rows: 6, cols: 16, evenOdd: true,
		bf16: mergeBF16AVX2, f16: mergeF16AVX2, f32: mergeF32AVX2, scale: scaleAVX2,
	}
)
