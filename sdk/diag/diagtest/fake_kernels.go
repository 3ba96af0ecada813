package diagtest

import (
	"slices"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// operand gives the matrix behind a handle, or else the status to return: every kernel needs the capability and live handles.
func (f *fake) operand(handle int32) (Matrix, int32) {
	if !f.granted(abi.CapKernels) {
		return Matrix{}, f.denied(abi.CapKernels)
	}
	t, status := f.tensor(handle)
	return t.matrix, status
}

// operands is operand for several handles, none of which may be a weight of the base: a real host never holds one as a whole.
func (f *fake) operands(handles ...int32) ([]Matrix, int32) {
	var out []Matrix
	for _, handle := range handles {
		m, status := f.operand(handle)
		if status < 0 {
			return nil, status
		}
		if f.tensors[handle].base {
			return nil, f.fail(abi.Unsupported, "a weight of the base is an operand of project and stats only")
		}
		out = append(out, m)
	}
	return out, 0
}

func (f *fake) shapes(a, b Matrix) int32 {
	return f.fail(abi.Shape, "%d x %d and %d x %d do not fit", a.Rows, a.Cols, b.Rows, b.Cols)
}

func (f *fake) notFinite() int32 { return f.fail(abi.Numeric, "an operand is not finite") }

func (f *fake) MatMul(a, b, flags int32) int32 {
	m, status := f.operands(a, b)
	if status < 0 {
		return status
	}
	if flags&^(abi.TransposeA|abi.TransposeB) != 0 {
		return f.fail(abi.Unsupported, "flags %#x", flags)
	}
	if flags&abi.TransposeA != 0 {
		m[0] = m[0].Transposed()
	}
	if flags&abi.TransposeB != 0 {
		m[1] = m[1].Transposed()
	}
	if m[0].Cols != m[1].Rows {
		return f.shapes(m[0], m[1])
	}
	return f.add(m[0].Times(m[1]), abi.DTypeF64)
}

func (f *fake) Axpby(alpha float64, x int32, beta float64, y int32) int32 {
	m, status := f.operands(x, y)
	if status < 0 {
		return status
	}
	if m[0].Rows != m[1].Rows || m[0].Cols != m[1].Cols {
		return f.shapes(m[0], m[1])
	}
	out := Zeros(m[0].Rows, m[0].Cols)
	for i := range out.Values {
		out.Values[i] = alpha*m[0].Values[i] + beta*m[1].Values[i]
	}
	return f.add(out, abi.DTypeF64)
}

func (f *fake) Stats(handle int32, out *[abi.StatsSize]byte) int32 {
	m, status := f.operand(handle)
	if status < 0 {
		return status
	}
	s := stats(m, f.tensors[handle].dtype)
	copy(out[:], s.Append(nil))
	return 0
}

func (f *fake) QR(handle int32, out *[2]int32) int32 {
	m, status := f.operands(handle)
	if status < 0 {
		return status
	}
	if !m[0].finite() {
		return f.notFinite()
	}
	q, r := qr(m[0])
	*out = [2]int32{f.add(q, abi.DTypeF64), f.add(r, abi.DTypeF64)}
	return 0
}

func (f *fake) addTriples(u Matrix, s []float64, v Matrix, out *[3]int32) {
	row := Matrix{Rows: 1, Cols: len(s), Values: slices.Clone(s)}
	*out = [3]int32{f.add(u, abi.DTypeF64), f.add(row, abi.DTypeF64), f.add(v, abi.DTypeF64)}
}

func (f *fake) SVD(handle int32, out *[3]int32) int32 {
	m, status := f.operands(handle)
	if status < 0 {
		return status
	}
	if !m[0].finite() {
		return f.notFinite()
	}
	u, s, v := svd(m[0])
	f.addTriples(u, s, v, out)
	return 0
}

func (f *fake) DeltaSVD(b, a int32, scale float64, out *[3]int32) int32 {
	m, status := f.operands(b, a)
	if status < 0 {
		return status
	}
	if m[0].Cols != m[1].Rows {
		return f.shapes(m[0], m[1])
	}
	if !m[0].finite() || !m[1].finite() || !isFinite(scale) {
		return f.notFinite()
	}
	u, s, v := deltaSVD(m[0], m[1], scale)
	if len(s) > 0 {
		f.addTriples(u, s, v, out)
	}
	return int32(len(s))
}

func (f *fake) DeltaValues(b, a int32, scale float64, out *int32) int32 {
	var handles [3]int32
	rank := f.DeltaSVD(b, a, scale, &handles)
	if rank > 0 {
		f.tensors[handles[0]], f.tensors[handles[2]] = held{}, held{}
		*out = handles[1]
	}
	return rank
}

func (f *fake) Project(w, u, v int32) int32 {
	weight, status := f.operand(w)
	if status < 0 {
		return status
	}
	m, status := f.operands(u, v)
	if status < 0 {
		return status
	}
	if m[0].Rows != weight.Rows {
		return f.shapes(m[0], weight)
	}
	if m[1].Rows != weight.Cols {
		return f.shapes(weight, m[1])
	}
	return f.add(m[0].Transposed().Times(weight).Times(m[1]), abi.DTypeF64)
}

func (f *fake) ProjectStats(w, u, v int32, out *[abi.StatsSize]byte) int32 {
	handle := f.Project(w, u, v)
	if handle >= 0 {
		s := stats(f.tensors[w].matrix, f.tensors[w].dtype)
		copy(out[:], s.Append(nil))
	}
	return handle
}
