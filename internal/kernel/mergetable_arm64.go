package kernel

var mergeNEON = mergeKernels{
	rows: 6, cols: 16, bf16: mergeBF16NEON, f16: mergeF16NEON, f32: mergeF32NEON,
	scale: scaleKernels{
		bf16:        scaleRow{scaleWidenBF16NEON, scaleBF16NEON},
		f16:         scaleRow{scaleWidenF16NEON, scaleF16NEON},
		f32:         scaleRow{scaleWidenF32NEON, scaleF32NEON},
		squareLanes: squareLanesNEON,
		squareEach:  squareEachNEON,
	},
}
