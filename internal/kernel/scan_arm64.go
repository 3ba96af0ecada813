package kernel

// The loops over stored values take 16 a turn, whose lanes in f64 fill eight registers a sum.

//go:noescape
func widen64BF16NEON(n int, src *byte, dst *float64)

//go:noescape
func censusBF16NEON(n int, row *byte, lanes *float64, extrema *float32)

//go:noescape
func signedBF16NEON(n int, row *byte, x *int8, lanes *float64)

//go:noescape
func lossBF16NEON(n int, row *byte, delta *float32, lanes *float64) (changed, nonZero, lost int)

//go:noescape
func widen64F16NEON(n int, src *byte, dst *float64)

//go:noescape
func censusF16NEON(n int, row *byte, lanes *float64, extrema *float32)

//go:noescape
func signedF16NEON(n int, row *byte, x *int8, lanes *float64)

//go:noescape
func lossF16NEON(n int, row *byte, delta *float32, lanes *float64) (changed, nonZero, lost int)

//go:noescape
func widen64F32NEON(n int, src *byte, dst *float64)

//go:noescape
func censusF32NEON(n int, row *byte, lanes *float64, extrema *float32)

//go:noescape
func signedF32NEON(n int, row *byte, x *int8, lanes *float64)

//go:noescape
func lossF32NEON(n int, row *byte, delta *float32, lanes *float64) (changed, nonZero, lost int)
