package kernel

var (
	mergeAVX512 = mergeGeneric
	mergeAVX2   = mergeGeneric
)
