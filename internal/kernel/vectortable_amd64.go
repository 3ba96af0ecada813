package kernel

var (
	vectorAVX512 = vectorKernels{
		dot: vectorDotAVX512, dot2: vectorDot2AVX512, axpy: vectorAxpyAVX512, axpy2: vectorAxpy2AVX512, gather2: vectorGather2AVX512,
		rotate: vectorRotateAVX512, scale: vectorScaleAVX512, transpose8: vectorTranspose8AVX2,
	}
	vectorAVX2 = vectorKernels{
		dot: vectorDotAVX2, dot2: vectorDot2AVX2, axpy: vectorAxpyAVX2, axpy2: vectorAxpy2AVX2, gather2: vectorGather2AVX2,
		rotate: vectorRotateAVX2, scale: vectorScaleAVX2, transpose8: vectorTranspose8AVX2,
	}
)
