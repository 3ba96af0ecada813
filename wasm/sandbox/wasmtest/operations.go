package wasmtest

// More value types, beside those of the ABI.
const (
	F32       byte = 0x7d
	V128      byte = 0x7b
	FuncRef   byte = 0x70
	ExternRef byte = 0x6f
)

const (
	prefixMisc = 0xfc
	prefixSIMD = 0xfd
)

// operation is a range of instructions of one type that have nothing but operands and one result.
type operation struct {
	prefix      byte // 0: none
	first, last uint32
	params      string // a letter each: i i32, l i64, f f32, d f64, v v128
	result      byte
	lanes       byte // above 0: an immediate below this number
}

// access is a range of loads or stores.
type access struct {
	prefix      byte
	first, last uint32
	align       byte // the natural one, as a power of two
	value       byte // loaded or stored
	lanes       byte // above 0: of a vector that is an operand, and for loads the result
}

func letter(l byte) byte {
	return map[byte]byte{'i': I32, 'l': I64, 'f': F32, 'd': F64, 'v': V128}[l]
}

// operations are all instructions of core WebAssembly 2.0 that compute.
var operations = []operation{
	{0, 0x45, 0x45, "i", I32, 0}, {0, 0x46, 0x4f, "ii", I32, 0}, {0, 0x50, 0x50, "l", I32, 0}, {0, 0x51, 0x5a, "ll", I32, 0},
	{0, 0x5b, 0x60, "ff", I32, 0}, {0, 0x61, 0x66, "dd", I32, 0},
	{0, 0x67, 0x69, "i", I32, 0}, {0, 0x6a, 0x78, "ii", I32, 0}, {0, 0x79, 0x7b, "l", I64, 0}, {0, 0x7c, 0x8a, "ll", I64, 0},
	{0, 0x8b, 0x91, "f", F32, 0}, {0, 0x92, 0x98, "ff", F32, 0}, {0, 0x99, 0x9f, "d", F64, 0}, {0, 0xa0, 0xa6, "dd", F64, 0},
	{0, 0xa7, 0xa7, "l", I32, 0}, {0, 0xa8, 0xa9, "f", I32, 0}, {0, 0xaa, 0xab, "d", I32, 0}, {0, 0xac, 0xad, "i", I64, 0},
	{0, 0xae, 0xaf, "f", I64, 0}, {0, 0xb0, 0xb1, "d", I64, 0}, {0, 0xb2, 0xb3, "i", F32, 0}, {0, 0xb4, 0xb5, "l", F32, 0},
	{0, 0xb6, 0xb6, "d", F32, 0}, {0, 0xb7, 0xb8, "i", F64, 0}, {0, 0xb9, 0xba, "l", F64, 0}, {0, 0xbb, 0xbb, "f", F64, 0},
	{0, 0xbc, 0xbc, "f", I32, 0}, {0, 0xbd, 0xbd, "d", I64, 0}, {0, 0xbe, 0xbe, "i", F32, 0}, {0, 0xbf, 0xbf, "l", F64, 0},
	{0, 0xc0, 0xc1, "i", I32, 0}, {0, 0xc2, 0xc4, "l", I64, 0},
	{prefixMisc, 0, 1, "f", I32, 0}, {prefixMisc, 2, 3, "d", I32, 0}, {prefixMisc, 4, 5, "f", I64, 0}, {prefixMisc, 6, 7, "d", I64, 0},

	{prefixSIMD, 14, 14, "vv", V128, 0}, {prefixSIMD, 15, 17, "i", V128, 0}, {prefixSIMD, 18, 18, "l", V128, 0},
	{prefixSIMD, 19, 19, "f", V128, 0}, {prefixSIMD, 20, 20, "d", V128, 0},
	{prefixSIMD, 21, 22, "v", I32, 16}, {prefixSIMD, 23, 23, "vi", V128, 16}, {prefixSIMD, 24, 25, "v", I32, 8},
	{prefixSIMD, 26, 26, "vi", V128, 8}, {prefixSIMD, 27, 27, "v", I32, 4}, {prefixSIMD, 28, 28, "vi", V128, 4},
	{prefixSIMD, 29, 29, "v", I64, 2}, {prefixSIMD, 30, 30, "vl", V128, 2}, {prefixSIMD, 31, 31, "v", F32, 4},
	{prefixSIMD, 32, 32, "vf", V128, 4}, {prefixSIMD, 33, 33, "v", F64, 2}, {prefixSIMD, 34, 34, "vd", V128, 2},
	{prefixSIMD, 35, 76, "vv", V128, 0}, {prefixSIMD, 77, 77, "v", V128, 0}, {prefixSIMD, 78, 81, "vv", V128, 0},
	{prefixSIMD, 82, 82, "vvv", V128, 0}, {prefixSIMD, 83, 83, "v", I32, 0},
	{prefixSIMD, 94, 98, "v", V128, 0}, {prefixSIMD, 99, 100, "v", I32, 0}, {prefixSIMD, 101, 102, "vv", V128, 0},
	{prefixSIMD, 103, 106, "v", V128, 0}, {prefixSIMD, 107, 109, "vi", V128, 0}, {prefixSIMD, 110, 115, "vv", V128, 0},
	{prefixSIMD, 116, 117, "v", V128, 0}, {prefixSIMD, 118, 121, "vv", V128, 0}, {prefixSIMD, 122, 122, "v", V128, 0},
	{prefixSIMD, 123, 123, "vv", V128, 0}, {prefixSIMD, 124, 129, "v", V128, 0}, {prefixSIMD, 130, 130, "vv", V128, 0},
	{prefixSIMD, 131, 132, "v", I32, 0}, {prefixSIMD, 133, 134, "vv", V128, 0}, {prefixSIMD, 135, 138, "v", V128, 0},
	{prefixSIMD, 139, 141, "vi", V128, 0}, {prefixSIMD, 142, 147, "vv", V128, 0}, {prefixSIMD, 148, 148, "v", V128, 0},
	{prefixSIMD, 149, 153, "vv", V128, 0}, {prefixSIMD, 155, 159, "vv", V128, 0}, {prefixSIMD, 160, 161, "v", V128, 0},
	{prefixSIMD, 163, 164, "v", I32, 0}, {prefixSIMD, 167, 170, "v", V128, 0}, {prefixSIMD, 171, 173, "vi", V128, 0},
	{prefixSIMD, 174, 174, "vv", V128, 0}, {prefixSIMD, 177, 177, "vv", V128, 0}, {prefixSIMD, 181, 186, "vv", V128, 0},
	{prefixSIMD, 188, 191, "vv", V128, 0}, {prefixSIMD, 192, 193, "v", V128, 0}, {prefixSIMD, 195, 196, "v", I32, 0},
	{prefixSIMD, 199, 202, "v", V128, 0}, {prefixSIMD, 203, 205, "vi", V128, 0}, {prefixSIMD, 206, 206, "vv", V128, 0},
	{prefixSIMD, 209, 209, "vv", V128, 0}, {prefixSIMD, 213, 223, "vv", V128, 0}, {prefixSIMD, 224, 225, "v", V128, 0},
	{prefixSIMD, 227, 227, "v", V128, 0}, {prefixSIMD, 228, 235, "vv", V128, 0}, {prefixSIMD, 236, 237, "v", V128, 0},
	{prefixSIMD, 239, 239, "v", V128, 0}, {prefixSIMD, 240, 247, "vv", V128, 0}, {prefixSIMD, 248, 255, "v", V128, 0},
}

// loads and stores are all instructions of core WebAssembly 2.0 that reach memory one value at a time.
var loads = []access{
	{0, 0x28, 0x28, 2, I32, 0}, {0, 0x29, 0x29, 3, I64, 0}, {0, 0x2a, 0x2a, 2, F32, 0}, {0, 0x2b, 0x2b, 3, F64, 0},
	{0, 0x2c, 0x2d, 0, I32, 0}, {0, 0x2e, 0x2f, 1, I32, 0}, {0, 0x30, 0x31, 0, I64, 0}, {0, 0x32, 0x33, 1, I64, 0},
	{0, 0x34, 0x35, 2, I64, 0},
	{prefixSIMD, 0, 0, 4, V128, 0}, {prefixSIMD, 1, 6, 3, V128, 0}, {prefixSIMD, 7, 7, 0, V128, 0}, {prefixSIMD, 8, 8, 1, V128, 0},
	{prefixSIMD, 9, 9, 2, V128, 0}, {prefixSIMD, 10, 10, 3, V128, 0}, {prefixSIMD, 92, 92, 2, V128, 0}, {prefixSIMD, 93, 93, 3, V128, 0},
	{prefixSIMD, 84, 84, 0, V128, 16}, {prefixSIMD, 85, 85, 1, V128, 8}, {prefixSIMD, 86, 86, 2, V128, 4}, {prefixSIMD, 87, 87, 3, V128, 2},
}

var stores = []access{
	{0, 0x36, 0x36, 2, I32, 0}, {0, 0x37, 0x37, 3, I64, 0}, {0, 0x38, 0x38, 2, F32, 0}, {0, 0x39, 0x39, 3, F64, 0},
	{0, 0x3a, 0x3a, 0, I32, 0}, {0, 0x3b, 0x3b, 1, I32, 0}, {0, 0x3c, 0x3c, 0, I64, 0}, {0, 0x3d, 0x3d, 1, I64, 0},
	{0, 0x3e, 0x3e, 2, I64, 0}, {prefixSIMD, 11, 11, 4, V128, 0},
	{prefixSIMD, 88, 88, 0, V128, 16}, {prefixSIMD, 89, 89, 1, V128, 8}, {prefixSIMD, 90, 90, 2, V128, 4}, {prefixSIMD, 91, 91, 3, V128, 2},
}
