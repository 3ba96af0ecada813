package merge_test

import (
	"math"
	"slices"
)

// view is the rows and columns of the matrix that a form is read as, of so many entries.
func (x form) view(entries int) (rows, cols int) {
	switch {
	case x.rank == 0:
		return x.shape[0], entries / x.shape[0]
	case x.fan:
		return max(1, x.blocks) * x.in, x.out
	}
	return max(1, x.blocks) * x.out, x.in
}

// start is what stands in place of the weight in f64, by the words of backend.proto.
func (f formed) start(x form, weight []float64) []float64 {
	v, held := slices.Clone(weight), f.data[x.name+".start"]
	_, cols := x.view(len(weight))
	switch {
	case x.rows != nil:
		for i, row := range x.rows {
			copy(v[int(row)*cols:][:cols], held[i*cols:])
		}
	case held != nil:
		copy(v, held)
	}
	return v
}

// delta is what is added, of so many entries.
func (f formed) delta(x form, entries int) []float64 {
	v := make([]float64, entries)
	rows, cols := x.view(entries)
	a, b := f.data[x.name+".a"], f.data[x.name+".b"]
	height := rows / max(1, x.blocks)
	for i := range v {
		row, col := i/cols, i%cols
		for k := range x.rank {
			block := row / height
			o, in := row%height, col
			if x.fan {
				o, in = in, o
			}
			v[i] += formScale * b[(block*x.out+o)*x.rank+k] * a[(block*x.rank+k)*x.in+in]
		}
		if x.dense != nil {
			v[i] += formScale * f.data[x.name+".dense"][i]
		}
	}
	return v
}

// merged is W'.
func (f formed) merged(x form, weight []float64) []float64 {
	v := f.start(x, weight)
	for i, d := range f.delta(x, len(v)) {
		v[i] += d
	}
	magnitudes := f.data[x.name+".magnitude"]
	_, cols := x.view(len(v))
	output := func(i int) int {
		switch {
		case x.ofInputs:
			return i % cols / (cols / x.magnitude)
		case x.fan:
			return i % cols
		}
		return i / cols
	}
	if x.magnitude > 0 {
		sums := make([]float64, x.magnitude)
		for i, e := range v {
			sums[output(i)] += e * e
		}
		for i := range v {
			v[i] *= magnitudes[output(i)] / math.Sqrt(sums[output(i)])
		}
	}
	return v
}
