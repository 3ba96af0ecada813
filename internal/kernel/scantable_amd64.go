package kernel

var (
	scanAVX512 = scanGeneric
	scanAVX2   = scanGeneric
)
