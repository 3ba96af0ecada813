package kernel

var (
	matvecAVX512 = matvecKernels{
		rows:  8,
		parts: 1,
		bf16: storedKernels{dots: dotsBF16AVX512, split: splitBF16AVX512, few: []fewTile{
			{6, fewBF164x6AVX512}, {4, fewBF164x4AVX512}, {2, fewBF164x2AVX512}, {1, fewBF164x1AVX512},
		}},
		f16: storedKernels{dots: dotsF16AVX512, split: splitF16AVX512, few: []fewTile{
			{6, fewF164x6AVX512}, {4, fewF164x4AVX512}, {2, fewF164x2AVX512}, {1, fewF164x1AVX512},
		}},
		f32: storedKernels{dots: dotsF32AVX512, split: splitF32AVX512, few: []fewTile{
			{6, fewF324x6AVX512}, {4, fewF324x4AVX512}, {2, fewF324x2AVX512}, {1, fewF324x1AVX512},
		}},
		tiles: []matvecTile{{6, tile4x6AVX512}, {4, tile4x4AVX512}, {2, tile4x2AVX512}, {1, tile4x1AVX512}},
		sums:  sumsAVX512,
		weigh: weighAVX512,
		exp:   expAVX512,
	}
	matvecAVX2 = matvecKernels{
		rows:  4,
		parts: 2,
		bf16: storedKernels{dots: dotsBF16AVX2, split: splitBF16AVX2, few: []fewTile{
			{3, fewBF164x3AVX2}, {2, fewBF164x2AVX2}, {1, fewBF164x1AVX2},
		}},
		f16: storedKernels{dots: dotsF16AVX2, split: splitF16AVX2, few: []fewTile{
			{3, fewF164x3AVX2}, {2, fewF164x2AVX2}, {1, fewF164x1AVX2},
		}},
		f32: storedKernels{dots: dotsF32AVX2, split: splitF32AVX2, few: []fewTile{
			{3, fewF324x3AVX2}, {2, fewF324x2AVX2}, {1, fewF324x1AVX2},
		}},
		tiles: []matvecTile{{3, tile4x3AVX2}, {2, tile4x2AVX2}, {1, tile4x1AVX2}},
		sums:  sumsAVX2,
		weigh: weighAVX2,
		exp:   expAVX2,
	}
)
