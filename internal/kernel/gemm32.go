package kernel

// gemm32Kernels add products of f32 matrices, for one register tile of rows by cols. add does so for a strip of rows by panels*cols entries of
// c, whose rows are stride entries apart: each entry c[i,j] becomes the chain fma(a[p,i], b[p,j], c[i,j]) over p = 0 to k-1, ascending. a is k
// by rows, b is panels of k by cols.
type gemm32Kernels struct {
	rows, cols int
	add        func(k, panels int, a, b, c *float32, stride int)
}

// addPadded is add for a strip of rows of c by cols entries, by way of a copy that is padded where the tile is larger.
func (g *gemm32Kernels) addPadded(s *scratch, k, rows, cols int, a, b, c []float32, stride int) {
	if panels := cols / g.cols; rows == g.rows && panels > 0 {
		g.run(k, panels, a, b, c, stride)
		done := panels * g.cols
		if cols -= done; cols == 0 {
			return
		}
		b, c = b[done*k:], c[done:]
	}
	panels := (cols + g.cols - 1) / g.cols
	width := panels * g.cols
	tile := s.sums(g.rows * width)
	clear(tile)
	for i := range rows {
		copy(tile[i*width:], c[i*stride:][:cols])
	}
	g.run(k, panels, a, b, tile, width)
	for i := range rows {
		copy(c[i*stride:][:cols], tile[i*width:])
	}
}

func (g *gemm32Kernels) run(k, panels int, a, b, c []float32, stride int) {
	if g.add == nil {
		g.addPortable(k, panels, a, b, c, stride)
		return
	}
	g.add(k, panels, &a[0], &b[0], &c[0], stride)
}

var gemm32Generic = gemm32Kernels{}
