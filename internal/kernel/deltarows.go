package kernel

// DeltaRows writes stored rows [first, first+rows) of the delta, row-major, the very bits MergeRows adds; dst holds exactly those. Many rows
// at once cost less a row than one.
func DeltaRows(dst []float32, d *Delta, first, rows int) {
	_, cols := d.Shape()
	dst = dst[:rows*cols]
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	k := &active.gemm32
	if k.rows == 0 {
		d.portableRows(s, first, rows, 0, cols, func(v []float32, row, col int) { copy(dst[(row-first)*cols+col:], v) })
		return
	}
	clear(dst)
	columns := d.packedColumns(k.cols, false)
	tiling{k.rows, k.cols}.eachStrip(s, d, first, rows, 0, cols, func(factors []float32, row, n, col, width int) {
		k.addPadded(s, d.Rank, n, width, factors, columns[col*d.Rank:], dst[(row-first)*cols+col:], cols)
	})
	if !d.finite {
		for i, v := range dst {
			if v != v {
				dst[i] = canonicalNaN
			}
		}
	}
}

// pieceCols is how many entries of a row eachPiece gives at most.
const pieceCols = 1024

// eachPiece calls do with pieces of stored rows [first, first+rows) of the delta at columns [from, to), of which from is a multiple of
// pieceCols: with their entries, which do may overwrite, their row and their first column. All but the last piece of a row have a multiple of 16
// entries. Along one row columns ascend, and along one column rows do. The payload of a NaN is any.
func (d *Delta) eachPiece(s *scratch, first, rows, from, to int, do func(v []float32, row, col int)) {
	k := &active.gemm32
	if k.rows == 0 {
		d.portableRows(s, first, rows, from, to, do)
		return
	}
	columns := d.packedColumns(k.cols, false)
	tiling{k.rows, k.cols}.eachStrip(s, d, first, rows, from, to, func(factors []float32, row, n, col, width int) {
		for width > 0 {
			part := min(width, pieceCols)
			v := s.values(n * part)
			clear(v)
			k.addPadded(s, d.Rank, n, part, factors, columns[col*d.Rank:], v, part)
			for i := range n {
				do(v[i*part:(i+1)*part], row+i, col)
			}
			col, width = col+part, width-part
		}
	})
}

// portableRows is eachPiece without kernels, with NaNs that have no payload.
func (d *Delta) portableRows(s *scratch, first, rows, from, to int, do func(v []float32, row, col int)) {
	columns := s.panelFor(d.Rank, to-from)
	acc := s.values(columns.cols)
	for col := from; col < to; col += len(acc) {
		acc = acc[:min(len(acc), to-col)]
		columns.load(d, col, len(acc))
		for i := range rows {
			columns.chain(acc, d, first+i)
			do(acc, first+i, col)
		}
	}
}
