package kernel

var vectorNEON = vectorKernels{
	dot: dotNEON, dot2: dot2NEON, axpy: axpyNEON, axpy2: axpy2NEON, gather2: gather2NEON, rotate: rotateNEON, scale: scaleNEON,
	transpose8: transpose8NEON,
}
