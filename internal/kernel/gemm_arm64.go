package kernel

// The strips of products: panels of 6 rows by 16 f32 columns, or by 8 f64 columns.

//go:noescape
func gemm32AddNEON(k, panels int, a, b, c *float32, stride int)

//go:noescape
func gemm64AddNEON(k, panels int, a, b, c *float64, stride int)

//go:noescape
func gemm64AddRowsNEON(k, panels int, a *float64, aStride int, b, c *float64, stride int)
