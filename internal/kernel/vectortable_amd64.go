package kernel

var (
	vectorAVX512 = vectorGeneric
	vectorAVX2   = vectorGeneric
)
