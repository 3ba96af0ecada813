package adapter

import (
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// matrix is a matrix in f64, row by row.
type matrix struct {
	rows, cols int
	data       []float64
}

func (m matrix) row(i int) []float64 { return m.data[i*m.cols : (i+1)*m.cols] }

// decode reads a stored tensor as a matrix of its first dimension by all others together.
func decode(file *safetensors.File, t safetensors.Tensor) matrix {
	m := matrix{rows: t.Shape[0], cols: product(t.Shape[1:]), data: make([]float64, t.Elements())}
	if tensor.ToF64(m.data, file.Bytes(t), t.DType) != nil {
		panic("adapter: a tensor of an unchecked type") // checkPart has refused every other
	}
	return m
}

// storedRows are the rows of a stored matrix, decoded one at a time.
type storedRows struct {
	data  []byte
	dtype tensor.DType
	cols  int
}

// read decodes row i.
func (s storedRows) read(i int, row []float64) {
	size := s.cols * s.dtype.Size()
	if tensor.ToF64(row, s.data[i*size:(i+1)*size], s.dtype) != nil {
		panic("adapter: a tensor of an unchecked type") // checkPart has refused every other
	}
}

func (m matrix) transposed() matrix {
	t := matrix{rows: m.cols, cols: m.rows, data: make([]float64, len(m.data))}
	for i := range m.rows {
		for j, v := range m.row(i) {
			t.data[j*t.cols+i] = v
		}
	}
	return t
}

// addScaled adds s times x to y. Each product is rounded before it is added, on every machine.
func addScaled(y []float64, s float64, x []float64) {
	if s == 0 {
		return
	}
	for i, v := range x {
		y[i] += float64(s * v)
	}
}

// combine adds the rows of m, each times its weight, to y, in order. Four at once save reading and writing y.
func combine(y, weights []float64, m matrix) {
	k := 0
	for ; k+4 <= len(weights); k += 4 {
		w0, w1, w2, w3 := weights[k], weights[k+1], weights[k+2], weights[k+3]
		x0, x1, x2, x3 := m.row(k)[:len(y)], m.row(k + 1)[:len(y)], m.row(k + 2)[:len(y)], m.row(k + 3)[:len(y)]
		for i := range y {
			y[i] = y[i] + float64(w0*x0[i]) + float64(w1*x1[i]) + float64(w2*x2[i]) + float64(w3*x3[i])
		}
	}
	for ; k < len(weights); k++ {
		addScaled(y, weights[k], m.row(k))
	}
}

// contract is row i of core · b over the core's second dimension: the core is r x s x kernel and b is s x in, and the row holds, for each input,
// the values of the kernel.
func contract(y []float64, core matrix, i int, b matrix) {
	kernel := core.cols / b.rows
	from := core.row(i)
	for j := range b.rows {
		taps := from[j*kernel : (j+1)*kernel]
		for q, v := range b.row(j) {
			addScaled(y[q*kernel:(q+1)*kernel], v, taps)
		}
	}
}

// half is a product of two matrices: left is rows x rank, and right rank x cols.
type half struct{ left, right matrix }

// openHalf decodes the two factors of a half, and multiplies a core into the second.
func openHalf(file *safetensors.File, first, second safetensors.Tensor, core *safetensors.Tensor) half {
	left, right := decode(file, first), decode(file, second)
	if core == nil {
		return half{left, right}
	}
	c := decode(file, *core)
	product := matrix{rows: c.rows, cols: right.cols * (c.cols / right.rows)}
	product.data = make([]float64, product.rows*product.cols)
	for i := range product.rows {
		contract(product.row(i), c, i, right)
	}
	return half{left.transposed(), product}
}
