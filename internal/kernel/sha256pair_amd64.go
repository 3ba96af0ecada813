package kernel

// sha256PairUsable says that the processor has the SHA extensions.
var sha256PairUsable = avx2Usable && extendedFeatures()>>29&1 == 1
