// Package abi is version 1 of the contract between Tenon and a diagnostic guest, as data: what a guest exports, what it may import,
// how the structs that cross the border are laid out, and what a negative result means. ABI.md beside it is the same in prose.
//
// A guest is a core WebAssembly 2.0 reactor. It pulls: it asks for targets, tensors and kernels and reports what it found. The host never
// calls back and never asks for memory. Everything is little-endian; text is UTF-8 given as (pointer, length).
package abi

// Module is the import module of every host function. The major version is part of the name.
const Module = "tenon_v1"

// What a guest exports.
const (
	ExportMemory     = "memory"      // its own, one, not shared
	ExportMarker     = "tenon_abi_1" // () -> (): says which ABI the guest was built for; never called
	ExportDiagnose   = "diagnose"    // () -> i32: 0 done, above 0 the guest's own error code
	ExportInitialize = "_initialize" // () -> (): optional, called once before diagnose
)

// Status is a negative result of a host function.
type Status int32

// The statuses. Anything below zero that is not listed here is reserved.
const (
	NotFound    Status = -1 // no such target, peer, attribute or parameter
	BadHandle   Status = -2 // not a live handle
	Range       Status = -3 // an index or count outside the object
	Shape       Status = -4 // operands that do not fit each other
	Denied      Status = -5 // the capability was not granted
	Quota       Status = -6 // a limit of the run is used up
	Unsupported Status = -7 // an unknown flag or severity, or an operand that this function does not take
	Internal    Status = -8 // the host could not do it, for instance because a file could not be read
	Numeric     Status = -9 // no convergence, or operands that are not finite
)

var statusNames = map[Status]string{
	NotFound: "not found", BadHandle: "bad handle", Range: "out of range", Shape: "shapes do not fit", Denied: "capability not granted",
	Quota: "limit used up", Unsupported: "unsupported", Internal: "host failure", Numeric: "no numeric result",
}

// Error makes a Status an error.
func (s Status) Error() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return "unknown status"
}

// Severity of a finding.
type Severity int32

// The severities. The host computes the verdict: a finding proposes, the policy decides.
const (
	Info Severity = 0
	Warn Severity = 1
	Deny Severity = 2
)

// Sizes in bytes of the structs that cross the border.
const (
	TargetInfoSize = 64
	StatsSize      = 96
	RoundLossSize  = 80
	RoundingSize   = 96
)

// TargetInfo is one adapted weight: 64 bytes.
//
//	offset  0  i32  A, handle of the r x in factor
//	offset  4  i32  B, handle of the out x r factor
//	offset  8  i32  Base, handle of the out x in weight, or -1 when the base was not granted
//	offset 12  i32  Rank r
//	offset 16  i64  In
//	offset 24  i64  Out
//	offset 32  f64  Scale s, of delta W = s B A
//	offset 40  f64  Alpha as configured
//	offset 48  i32  Flags
//	offset 52  i32  BaseDType, a DType
//	offset 56  i32  FactorDType, a DType
//	offset 60  i32  reserved, 0
//
// W is always out x in to a guest, however the checkpoint stores it. For q_proj of a model of width 192 with an r = 16 adapter: A is
// 16 x 192, B is 192 x 16, In = Out = 192, Rank = 16.
type TargetInfo struct {
	A, B, Base             int32
	Rank                   int32
	In, Out                int64
	Scale, Alpha           float64
	Flags                  int32
	BaseDType, FactorDType DType
}

// Flags of a TargetInfo.
const (
	FlagFanInFanOut int32 = 1 << 0 // the checkpoint stores W transposed (in x out)
	FlagRsLoRA      int32 = 1 << 1 // the scale is alpha / sqrt(r)
)

// DType is an element type as the checkpoint stores it; to the guest every value is f32 or f64.
type DType int32

// The dtypes a guest can meet.
const (
	DTypeF16  DType = 1
	DTypeBF16 DType = 2
	DTypeF32  DType = 3
	DTypeF64  DType = 4
)

// Stats is one pass over a tensor: 96 bytes, in the order of the fields, i64 and f64 of 8 bytes each. Sums and extrema leave out
// what is not finite; Min and Max are 0 where nothing is finite.
type Stats struct {
	Count, NaN, Inf, Zero, Subnormal int64
	FirstNonFinite                   int64 // index, row-major, or -1
	ZeroRows, ZeroCols               int64 // rows and columns of zeros only
	Min, Max, Sum, SumSquares        float64
}

// RoundLoss is what the merged dtype does to delta W: 80 bytes, in the order of the fields, i64 and f64 of 8 bytes each. With
// D = s B A in f32, by the fused multiply-adds of the merge, and D' = round(W + D) - W over all entries; one where W, D or what they round
// to is not finite is in no sum (diagnostics B.7).
type RoundLoss struct {
	Count          int64   // entries of W
	Changed        int64   // entries where round(W + D) differs from W
	NonZero        int64   // entries where D is not 0
	Lost           int64   // entries where D is not 0 and round(W + D) is W
	Overflow       int64   // entries where W and D are finite and round(W + D) is not
	FirstOverflow  int64   // index of the first of those, row-major, or -1
	Dot            float64 // <D', D>
	DeltaSquares   float64 // sum D^2
	RoundedSquares float64 // sum D'^2
	ErrorSquares   float64 // sum (D' - D)^2
}

// Format is how a serving runtime stores a weight: an element type, or a quantization in blocks along the rows as they lie in the
// checkpoint.
type Format int32

// The formats of rounding. Those of an element type have the number of the DType.
const (
	FormatF16  Format = 1
	FormatBF16 Format = 2
	FormatF32  Format = 3
	FormatQ8_0 Format = 16 // GGUF: blocks of 32, an f16 scale, 8 bits a value
	FormatQ4_0 Format = 17 // GGUF: blocks of 32, an f16 scale, 4 bits a value
	FormatNF4  Format = 18 // bitsandbytes: blocks of 64 beside their absolute maximum, 4 bits a value
)

// Rounding is what storing a weight in a format does to W and to delta W: 96 bytes, in the order of the fields, i64 and f64 of 8 bytes each.
// With Q the rounding to the format and back, D = s B A in f64, W0 = Q(W) and D' = Q(W0 + D) - W0, over all entries of the rows asked
// for (diagnostics B.7, B.8). For a W that the format holds exactly W0 is W.
type Rounding struct {
	Count          int64   // entries
	NonZero        int64   // entries where D is not 0
	Lost           int64   // entries where D is not 0 and D' is 0
	Changed        int64   // entries where D' is not 0
	Overflow       int64   // entries where W and D are finite and Q(W0 + D) is not; left out of the sums
	NonFinite      int64   // entries where W or D is not finite; left out of the sums
	Dot            float64 // <D', D>
	DeltaSquares   float64 // sum D^2
	RoundedSquares float64 // sum D'^2
	ErrorSquares   float64 // sum (D' - D)^2
	BaseSquares    float64 // sum W^2
	BaseError      float64 // sum (W - W0)^2: what the format costs the base alone
}

// Flags of matmul.
const (
	TransposeA int32 = 1 << 0
	TransposeB int32 = 1 << 1
)

// NoTarget and NoPeer stand for the adapter as a whole in metric, grid and finding.
const (
	NoTarget int32 = -1
	NoPeer   int32 = -1
)
