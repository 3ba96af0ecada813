package diagtest

import "math"

// Matrix is row-major.
type Matrix struct {
	Rows, Cols int
	Values     []float64
}

// Rows makes a matrix of rows of equal length.
func Rows(rows ...[]float64) Matrix {
	if len(rows) == 0 {
		return Matrix{}
	}
	m := Matrix{Rows: len(rows), Cols: len(rows[0])}
	for _, row := range rows {
		if len(row) != m.Cols {
			panic("diagtest: rows of different length")
		}
		m.Values = append(m.Values, row...)
	}
	return m
}

// Zeros makes a matrix of zeros.
func Zeros(rows, cols int) Matrix {
	return Matrix{Rows: rows, Cols: cols, Values: make([]float64, rows*cols)}
}

// Filled makes a matrix of what fill writes into its values, row after row: a generator of random numbers, say.
func Filled(rows, cols int, fill func(values []float64)) Matrix {
	m := Zeros(rows, cols)
	fill(m.Values)
	return m
}

// At gives one element.
func (m Matrix) At(row, col int) float64 { return m.Values[row*m.Cols+col] }

func (m Matrix) set(row, col int, value float64) { m.Values[row*m.Cols+col] = value }

// Transposed gives the n x m matrix of an m x n one.
func (m Matrix) Transposed() Matrix {
	out := Zeros(m.Cols, m.Rows)
	for i := range m.Rows {
		for j := range m.Cols {
			out.set(j, i, m.At(i, j))
		}
	}
	return out
}

// Times gives the product m n; m has as many columns as n has rows.
func (m Matrix) Times(n Matrix) Matrix {
	out := Zeros(m.Rows, n.Cols)
	for i := range m.Rows {
		row := out.Values[i*out.Cols : (i+1)*out.Cols]
		for k := range m.Cols {
			factor := m.At(i, k)
			for j, value := range n.Values[k*n.Cols : (k+1)*n.Cols] {
				row[j] += factor * value
			}
		}
	}
	return out
}

// Scaled gives factor times m.
func (m Matrix) Scaled(factor float64) Matrix {
	out := Zeros(m.Rows, m.Cols)
	for i, v := range m.Values {
		out.Values[i] = factor * v
	}
	return out
}

// Padded gives m in the first rows and columns of rows x cols zeros, which is no smaller than m; with the size of m it is a copy.
func (m Matrix) Padded(rows, cols int) Matrix {
	out := Zeros(rows, cols)
	for i := range m.Rows {
		copy(out.Values[i*cols:], m.Values[i*m.Cols:(i+1)*m.Cols])
	}
	return out
}

// firstCols gives the columns before k.
func (m Matrix) firstCols(k int) Matrix {
	out := Zeros(m.Rows, k)
	for i := range m.Rows {
		copy(out.Values[i*k:(i+1)*k], m.Values[i*m.Cols:])
	}
	return out
}

func (m Matrix) finite() bool {
	for _, v := range m.Values {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// norm is the Frobenius norm.
func (m Matrix) norm() float64 {
	var sum float64
	for _, v := range m.Values {
		sum += v * v
	}
	return math.Sqrt(sum)
}
