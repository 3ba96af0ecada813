package kernel

// fewVectors is up to how many vectors rows are not widened into a panel before they are multiplied: what reading them takes counts then, and
// a panel is written and read again.
const fewVectors = 12

// few says whether there are kernels for the product of these rows with few vectors.
func (m *storedMatrix) few() bool {
	return m.kernels.few != nil && m.cols > 0 && m.cols%lanes == 0 && m.rows >= tileRows
}

// multiplyFew computes all rows for n vectors, at most fewVectors. As in ParallelMatVec, rows that advance together are far apart.
func (m *storedMatrix) multiplyFew(dst, x []float32, n, workers int) {
	apart := m.rows / tileRows
	deal(apart, 1, workers, func(first, count int) {
		s := matvecScratches.Get().(*matvecScratch)
		defer matvecScratches.Put(s)
		for i := first; i < first+count; i++ {
			s.multiplyTile(dst, m, x, n, i, apart)
		}
	})
	if m.rows%tileRows != 0 {
		s := matvecScratches.Get().(*matvecScratch)
		defer matvecScratches.Put(s)
		s.multiplyTile(dst, m, x, n, m.rows-tileRows, 1) // some are computed twice
	}
}

// multiplyTile computes row i, and those that lie apart, twice apart and so on behind it, for n vectors.
func (s *matvecScratch) multiplyTile(dst []float32, m *storedMatrix, x []float32, n, i, apart int) {
	k := &active.matvec
	size := m.dtype.Size()
	stride, width := m.cols*size, lanes/k.parts
	w, next := m.bytes[i*stride:], 0
	for v := 0; v < n; {
		tile := m.kernels.fewTile(n - v)
		for at := range k.parts { // the vectors are still in the first-level cache for the second part
			// Each call has one of the rows fetched that come next, so that memory is read all the time, and not only in the first call.
			ahead := &w[min(next%tileRows*apart*stride+stride, len(w)-1)]
			tile.run(&s.lanes[(at*n+v)*tileRows*width], &w[at*width*size], apart*stride, &x[v*m.cols+at*width], 4*m.cols, ahead, m.cols/lanes)
			next++
		}
		v += tile.vectors
	}
	k.sums(&s.sums[0], &s.lanes[0], 4*n*tileRows*width, n)
	for v := range n {
		for row, sum := range s.sums[v*tileRows:][:tileRows] {
			dst[v*m.rows+i+row*apart] = sum
		}
	}
}

// fewTile returns the widest tile of at most n vectors.
func (k *storedKernels) fewTile(n int) *fewTile {
	i := 0
	for k.few[i].vectors > n {
		i++
	}
	return &k.few[i]
}
