package kernel

// The kernels of stored rows take 4 rows at a time, whose lanes fill 16 of the 32 vector registers. Those of many vectors take half of the
// lanes.

//go:noescape
func dotsBF16NEON(dst *float32, w *byte, stride int, x *float32, blocks int)

//go:noescape
func splitBF16NEON(dst *float32, src *byte, part, blocks int)

//go:noescape
func dotsF16NEON(dst *float32, w *byte, stride int, x *float32, blocks int)

//go:noescape
func splitF16NEON(dst *float32, src *byte, part, blocks int)

//go:noescape
func dotsF32NEON(dst *float32, w *byte, stride int, x *float32, blocks int)

//go:noescape
func splitF32NEON(dst *float32, src *byte, part, blocks int)

//go:noescape
func tile4x3NEON(lanes, w, x *float32, blocks int)

//go:noescape
func tile4x2NEON(lanes, w, x *float32, blocks int)

//go:noescape
func tile4x1NEON(lanes, w, x *float32, blocks int)

//go:noescape
func sumsNEON(dst, lanes *float32, part, fours int)

//go:noescape
func weighNEON(dst, weights, rows *float32, stride, n, blocks int)

//go:noescape
func expNEON(x, constants *float32, scale, shift float32, blocks int)
