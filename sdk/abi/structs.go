package abi

// Field is a member of a Struct.
type Field struct {
	Name   string // as in the Go struct
	Offset int    // in bytes
	Type   ValueType
	Doc    string
}

// Struct is the layout of something that the host writes into a guest's memory: little-endian, each field at a multiple of its size.
type Struct struct {
	Name   string
	Size   int // in bytes, a multiple of 8
	Doc    string
	Fields []Field
}

// Structs lists the structs of version 1, for bindings in languages that cannot read this package. A test holds them to what Append writes.
var Structs = []Struct{
	{"TargetInfo", TargetInfoSize, "One adapted weight, delta W = Scale * B A.", []Field{
		{"A", 0, I32, "handle of the rank x in factor"},
		{"B", 4, I32, "handle of the out x rank factor"},
		{"Base", 8, I32, "handle of the out x in weight, or -1 when there is none or it was not granted"},
		{"Rank", 12, I32, "as configured"},
		{"In", 16, I64, "columns of W"},
		{"Out", 24, I64, "rows of W"},
		{"Scale", 32, F64, "s of delta W = s B A"},
		{"Alpha", 40, F64, "as configured"},
		{"Flags", 48, I32, "FLAG constants, combined with |"},
		{"BaseDType", 52, I32, "a DTYPE constant, or 0 without a base"},
		{"FactorDType", 56, I32, "a DTYPE constant, of A as stored"},
		{"Reserved", 60, I32, "0"},
	}},
	{"Stats", StatsSize, "One pass over a tensor. Sums and extrema leave out what is not finite.", []Field{
		{"Count", 0, I64, "elements"},
		{"NaN", 8, I64, "elements that are not a number"},
		{"Inf", 16, I64, "infinite elements"},
		{"Zero", 24, I64, "elements that are 0 or -0"},
		{"Subnormal", 32, I64, "elements that are subnormal in the dtype in which the tensor is stored"},
		{"FirstNonFinite", 40, I64, "row-major index of the first NaN or infinity, or -1"},
		{"ZeroRows", 48, I64, "rows of zeros only"},
		{"ZeroCols", 56, I64, "columns of zeros only"},
		{"Min", 64, F64, "0 where nothing is finite"},
		{"Max", 72, F64, "0 where nothing is finite"},
		{"Sum", 80, F64, "of the finite elements"},
		{"SumSquares", 88, F64, "of the finite elements"},
	}},
	{"RoundLoss", RoundLossSize, "What the merged dtype does to D = delta W, with D' = round(W + D) - W over all entries.", []Field{
		{"Count", 0, I64, "entries of W"},
		{"Changed", 8, I64, "entries where round(W + D) differs from W"},
		{"NonZero", 16, I64, "entries where D is not 0"},
		{"Lost", 24, I64, "entries where D is not 0 and round(W + D) is W"},
		{"Overflow", 32, I64, "entries where W and D are finite and round(W + D) is not"},
		{"FirstOverflow", 40, I64, "row-major index of the first of those, or -1"},
		{"Dot", 48, F64, "<D', D>"},
		{"DeltaSquares", 56, F64, "sum D^2"},
		{"RoundedSquares", 64, F64, "sum D'^2"},
		{"ErrorSquares", 72, F64, "sum (D' - D)^2"},
	}},
	{"Rounding", RoundingSize, "What storing a weight in a format Q does to D = delta W, with W0 = Q(W) and D' = Q(W0 + D) - W0.", []Field{
		{"Count", 0, I64, "entries"},
		{"NonZero", 8, I64, "entries where D is not 0"},
		{"Lost", 16, I64, "entries where D is not 0 and D' is 0"},
		{"Changed", 24, I64, "entries where D' is not 0"},
		{"Overflow", 32, I64, "entries where W and D are finite and Q(W0 + D) is not; left out of the sums"},
		{"NonFinite", 40, I64, "entries where W or D is not finite; left out of the sums"},
		{"Dot", 48, F64, "<D', D>"},
		{"DeltaSquares", 56, F64, "sum D^2"},
		{"RoundedSquares", 64, F64, "sum D'^2"},
		{"ErrorSquares", 72, F64, "sum (D' - D)^2"},
		{"BaseSquares", 80, F64, "sum W^2"},
		{"BaseError", 88, F64, "sum (W - W0)^2: what the format costs the base alone"},
	}},
}
