package kernel

var matvecNEON = matvecKernels{
	rows:  4,
	parts: 2,
	bf16:  storedKernels{dots: dotsBF16NEON, split: splitBF16NEON},
	f16:   storedKernels{dots: dotsF16NEON, split: splitF16NEON},
	f32:   storedKernels{dots: dotsF32NEON, split: splitF32NEON},
	tiles: []matvecTile{{3, tile4x3NEON}, {2, tile4x2NEON}, {1, tile4x1NEON}},
	sums:  sumsNEON,
	weigh: weighNEON,
	exp:   expNEON,
}
