package kernel

var (
	matvecAVX512 = matvecGeneric
	matvecAVX2   = matvecGeneric
)
