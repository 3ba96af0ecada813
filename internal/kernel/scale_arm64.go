package kernel

//go:noescape
func scaleWidenBF16NEON(n int, v *float32, src *byte)

//go:noescape
func scaleBF16NEON(n int, dst, src *byte, v, gains *float32, step int) (done, changed int)

//go:noescape
func scaleWidenF16NEON(n int, v *float32, src *byte)

//go:noescape
func scaleF16NEON(n int, dst, src *byte, v, gains *float32, step int) (done, changed int)

//go:noescape
func scaleWidenF32NEON(n int, v *float32, src *byte)

//go:noescape
func scaleF32NEON(n int, dst, src *byte, v, gains *float32, step int) (done, changed int)

//go:noescape
func squareLanesNEON(n int, sums *float64, v *float32)

//go:noescape
func squareEachNEON(n int, sums *float64, v *float32)
