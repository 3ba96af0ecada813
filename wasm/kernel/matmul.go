package kernel

import "fmt"

// ProductShape is the shape of MatMul's result, for callers that bound memory first.
func ProductShape(a, b *Matrix, transA, transB bool) (rows, cols int, err error) {
	rows, inner := a.Rows, a.Cols
	if transA {
		rows, inner = inner, rows
	}
	other, cols := b.Rows, b.Cols
	if transB {
		other, cols = cols, other
	}
	if inner != other {
		return 0, 0, fmt.Errorf("a product of %d x %d and %d x %d: %w", rows, inner, other, cols, ErrShape)
	}
	return rows, cols, nil
}

// MatMul returns op(a) op(b), where op transposes if the flag is set. Each entry is the plain sum of its products in ascending order, so
// the result does not depend on how the work is divided. NaN and infinities go through.
func MatMul(a, b *Matrix, transA, transB bool) (*Matrix, error) {
	if err := a.check("the left factor"); err != nil {
		return nil, err
	}
	if err := b.check("the right factor"); err != nil {
		return nil, err
	}
	rows, cols, err := ProductShape(a, b, transA, transB)
	if err != nil {
		return nil, err
	}
	product := NewMatrix(rows, cols)
	addProduct(product, view{a, transA}, pack(view{b, transB}))
	return product, nil
}

// view is a matrix or its transpose.
type view struct {
	*Matrix
	transposed bool
}

func (v view) shape() (rows, cols int) {
	if v.transposed {
		return v.Cols, v.Rows
	}
	return v.Rows, v.Cols
}

// Tiles of the product are tileRows x tileCols: as many sums as the scalar registers of amd64 hold beside their operands.
const (
	tileRows = 2
	tileCols = 4
	depth    = 256 // how much of the inner dimension is packed at a time, so that a panel of either factor stays in the first cache
)

// packed is a right factor in tiles of tileCols columns: value (k, j) lies at [j/tileCols*tileCols*inner + k*tileCols + j%tileCols].
// Missing columns are zero.
type packed struct {
	inner, cols int
	data        []float64
}

func pack(b view) *packed {
	inner, cols := b.shape()
	p := &packed{inner: inner, cols: cols, data: make([]float64, (cols+tileCols-1)/tileCols*tileCols*inner)}
	for k := range b.Rows {
		for j, v := range b.Row(k) {
			if b.transposed {
				p.data[p.index(j, k)] = v
			} else {
				p.data[p.index(k, j)] = v
			}
		}
	}
	return p
}

func (p *packed) index(k, j int) int {
	return j/tileCols*tileCols*p.inner + k*tileCols + j%tileCols
}

// addProduct adds a b to dst, entry by entry in ascending order of the inner index. Blocks of rows run in parallel.
func addProduct(dst *Matrix, a view, b *packed) {
	const blockRows = 32 * tileRows
	blocks := (dst.Rows + blockRows - 1) / blockRows
	n := workers(blocks, float64(dst.Rows)*float64(b.inner)*float64(dst.Cols))
	parallel(n, func(worker int) {
		var scratch []float64
		if a.transposed {
			scratch = make([]float64, blockRows*min(depth, b.inner))
		}
		for block := worker; block < blocks; block += n {
			first := block * blockRows
			addRows(dst, a, b, scratch, first, min(blockRows, dst.Rows-first))
		}
	})
}

// addRows adds rows [first, first+n) of the product. Where a is transposed, scratch takes a block of it by rows.
func addRows(dst *Matrix, a view, b *packed, scratch []float64, first, n int) {
	for from := 0; from < b.inner; from += depth {
		size := min(depth, b.inner-from)
		left := func(i int) []float64 { return a.Row(first + i)[from : from+size] }
		if a.transposed {
			for k := range size {
				for i, v := range a.Row(from + k)[first : first+n] {
					scratch[i*size+k] = v
				}
			}
			left = func(i int) []float64 { return scratch[i*size : (i+1)*size] }
		}
		for col := 0; col < b.cols; col += tileCols {
			right := b.data[b.index(from, col):][:size*tileCols]
			for row := 0; row < n; row += tileRows {
				last := min(row+1, n-1) // a missing second row is computed as the first, and dropped
				addTile(dst, first+row, col, last-row+1, left(row), left(last), right)
			}
		}
	}
}

// addTile adds the products of one tile to dst at (row, col): of the rows left0 and left1 and of a packed tile of the right factor.
func addTile(dst *Matrix, row, col, rows int, left0, left1, right []float64) {
	var sums [tileRows][tileCols]float64
	width := min(tileCols, dst.Cols-col)
	for i := range rows {
		copy(sums[i][:width], dst.Row(row + i)[col:])
	}
	c00, c01, c02, c03 := sums[0][0], sums[0][1], sums[0][2], sums[0][3]
	c10, c11, c12, c13 := sums[1][0], sums[1][1], sums[1][2], sums[1][3]
	left1 = left1[:len(left0)]
	for k, a0 := range left0 {
		if len(right) < tileCols {
			break // never: it spares a check for each of the four
		}
		a1 := left1[k]
		b0, b1, b2, b3 := right[0], right[1], right[2], right[3]
		c00 += float64(a0 * b0)
		c01 += float64(a0 * b1)
		c02 += float64(a0 * b2)
		c03 += float64(a0 * b3)
		c10 += float64(a1 * b0)
		c11 += float64(a1 * b1)
		c12 += float64(a1 * b2)
		c13 += float64(a1 * b3)
		right = right[tileCols:]
	}
	sums = [tileRows][tileCols]float64{{c00, c01, c02, c03}, {c10, c11, c12, c13}}
	for i := range rows {
		copy(dst.Row(row + i)[col:], sums[i][:width])
	}
}
