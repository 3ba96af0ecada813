package abi

import "math"

// The structs of the border as bytes, written out field by field: encoding/binary would bring reflection into every guest. Append is
// the host's side, Decode the guest's. Decode panics when its argument is shorter than the struct's size: both sides own the buffers
// they pass, so a short one is a bug of theirs and not foreign input.

// Append appends the 64 bytes of t to dst.
func (t *TargetInfo) Append(dst []byte) []byte {
	dst = appendI32(dst, t.A)
	dst = appendI32(dst, t.B)
	dst = appendI32(dst, t.Base)
	dst = appendI32(dst, t.Rank)
	dst = appendI64(dst, t.In)
	dst = appendI64(dst, t.Out)
	dst = appendF64(dst, t.Scale)
	dst = appendF64(dst, t.Alpha)
	dst = appendI32(dst, t.Flags)
	dst = appendI32(dst, int32(t.BaseDType))
	dst = appendI32(dst, int32(t.FactorDType))
	return appendI32(dst, 0)
}

// Decode reads t from the first 64 bytes of src.
func (t *TargetInfo) Decode(src []byte) {
	_ = src[TargetInfoSize-1]
	*t = TargetInfo{
		A: getI32(src[0:]), B: getI32(src[4:]), Base: getI32(src[8:]), Rank: getI32(src[12:]),
		In: getI64(src[16:]), Out: getI64(src[24:]), Scale: getF64(src[32:]), Alpha: getF64(src[40:]),
		Flags: getI32(src[48:]), BaseDType: DType(getI32(src[52:])), FactorDType: DType(getI32(src[56:])),
	}
}

// Append appends the 96 bytes of s to dst.
func (s *Stats) Append(dst []byte) []byte {
	for _, v := range [...]int64{s.Count, s.NaN, s.Inf, s.Zero, s.Subnormal, s.FirstNonFinite, s.ZeroRows, s.ZeroCols} {
		dst = appendI64(dst, v)
	}
	for _, v := range [...]float64{s.Min, s.Max, s.Sum, s.SumSquares} {
		dst = appendF64(dst, v)
	}
	return dst
}

// Decode reads s from the first 96 bytes of src.
func (s *Stats) Decode(src []byte) {
	_ = src[StatsSize-1]
	*s = Stats{
		Count: getI64(src[0:]), NaN: getI64(src[8:]), Inf: getI64(src[16:]), Zero: getI64(src[24:]), Subnormal: getI64(src[32:]),
		FirstNonFinite: getI64(src[40:]), ZeroRows: getI64(src[48:]), ZeroCols: getI64(src[56:]),
		Min: getF64(src[64:]), Max: getF64(src[72:]), Sum: getF64(src[80:]), SumSquares: getF64(src[88:]),
	}
}

// Append appends the 80 bytes of l to dst.
func (l *RoundLoss) Append(dst []byte) []byte {
	for _, v := range [...]int64{l.Count, l.Changed, l.NonZero, l.Lost, l.Overflow, l.FirstOverflow} {
		dst = appendI64(dst, v)
	}
	for _, v := range [...]float64{l.Dot, l.DeltaSquares, l.RoundedSquares, l.ErrorSquares} {
		dst = appendF64(dst, v)
	}
	return dst
}

// Decode reads l from the first 80 bytes of src.
func (l *RoundLoss) Decode(src []byte) {
	_ = src[RoundLossSize-1]
	*l = RoundLoss{
		Count: getI64(src[0:]), Changed: getI64(src[8:]), NonZero: getI64(src[16:]), Lost: getI64(src[24:]),
		Overflow: getI64(src[32:]), FirstOverflow: getI64(src[40:]),
		Dot: getF64(src[48:]), DeltaSquares: getF64(src[56:]), RoundedSquares: getF64(src[64:]), ErrorSquares: getF64(src[72:]),
	}
}

// Append appends the 96 bytes of r to dst.
func (r *Rounding) Append(dst []byte) []byte {
	for _, v := range [...]int64{r.Count, r.NonZero, r.Lost, r.Changed, r.Overflow, r.NonFinite} {
		dst = appendI64(dst, v)
	}
	for _, v := range [...]float64{r.Dot, r.DeltaSquares, r.RoundedSquares, r.ErrorSquares, r.BaseSquares, r.BaseError} {
		dst = appendF64(dst, v)
	}
	return dst
}

// Decode reads r from the first 96 bytes of src.
func (r *Rounding) Decode(src []byte) {
	_ = src[RoundingSize-1]
	*r = Rounding{
		Count: getI64(src[0:]), NonZero: getI64(src[8:]), Lost: getI64(src[16:]), Changed: getI64(src[24:]),
		Overflow: getI64(src[32:]), NonFinite: getI64(src[40:]),
		Dot: getF64(src[48:]), DeltaSquares: getF64(src[56:]), RoundedSquares: getF64(src[64:]), ErrorSquares: getF64(src[72:]),
		BaseSquares: getF64(src[80:]), BaseError: getF64(src[88:]),
	}
}

func appendI32(dst []byte, v int32) []byte {
	u := uint32(v)
	return append(dst, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
}

func appendI64(dst []byte, v int64) []byte {
	return appendI32(appendI32(dst, int32(uint32(v))), int32(uint32(uint64(v)>>32)))
}

func appendF64(dst []byte, v float64) []byte { return appendI64(dst, int64(math.Float64bits(v))) }

func getI32(src []byte) int32 {
	return int32(uint32(src[0]) | uint32(src[1])<<8 | uint32(src[2])<<16 | uint32(src[3])<<24)
}

func getI64(src []byte) int64 {
	return int64(uint64(uint32(getI32(src))) | uint64(uint32(getI32(src[4:])))<<32)
}

func getF64(src []byte) float64 { return math.Float64frombits(uint64(getI64(src))) }
