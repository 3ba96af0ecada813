package kernel

//go:noescape
func dotNEON(n int, x, y *float64) float64

//go:noescape
func dot2NEON(n int, v, x, y *float64) (vx, vy float64)

//go:noescape
func axpyNEON(n int, a float64, x, y *float64)

//go:noescape
func axpy2NEON(n int, a, b float64, v, x, y *float64)

//go:noescape
func gather2NEON(n int, a, b float64, x, y, sum *float64)

//go:noescape
func rotateNEON(n int, cosine, sine float64, x, y *float64)

//go:noescape
func scaleNEON(n int, a float64, x *float64)

//go:noescape
func transpose8NEON(n int, dst *float64, dstStride int, src *float64, srcStride int)
