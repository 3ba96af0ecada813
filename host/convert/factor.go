package convert

import (
	"encoding/binary"
	"math"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// factor is one matrix on its way from the source to the new file. Its entries are multiplied with scale, rounded to dtype once, and then
// put in their new places.
type factor struct {
	name       string // in the new file
	tensor     safetensors.Tensor
	source     *safetensors.File
	rows, cols int     // as read
	scale      float64 // 1 leaves every bit as it is
	heads      int     // by which the rows are put in another order, 0 for none
	arrange    func(dst, src []byte, rows, heads int) error
	transposed bool

	dtype     tensor.DType // as written
	rounded   int64
	roundedBy float64
}

// newFactor is the factor of a tensor of two axes, changed in nothing.
func newFactor(name string, t safetensors.Tensor, source *safetensors.File) *factor {
	return &factor{name: name, tensor: t, source: source, rows: t.Shape[0], cols: t.Shape[1], scale: 1}
}

// shape is that of the matrix as it is written.
func (f *factor) shape() []int {
	if f.transposed {
		return []int{f.cols, f.rows}
	}
	return []int{f.rows, f.cols}
}

// settle decides the type, and measures what rounding to it does. Invalid keeps the stored type where that holds every entry exactly, as it
// does unless the entries are multiplied, and is F32 otherwise. A finite entry that the type cannot hold is refused, and rows that are no heads.
func (f *factor) settle(want tensor.DType) *fault.Error {
	if f.heads > 0 && f.rows%(2*f.heads) != 0 {
		return fault.New(fault.ADShape, "%d rows are not %d heads of two halves", f.rows, f.heads).
			Fix("check num_attention_heads and num_key_value_heads of the base's config.json")
	}
	f.dtype = want
	if want == tensor.Invalid {
		f.dtype = f.tensor.DType
	}
	overflow := f.measure()
	if want == tensor.Invalid && (f.rounded > 0 || overflow >= 0) && f.dtype != tensor.F32 {
		f.dtype = tensor.F32
		overflow = f.measure()
	}
	if overflow >= 0 {
		e := fault.New(fault.ADOverflowOnMerge, "entry %d is too large for %v", overflow, f.dtype)
		if f.dtype == tensor.F16 {
			return e.Fix("write it as bf16 or f32 (--dtype)")
		}
		return e.Fix("check the adapter: no trained one has such entries")
	}
	return nil
}

// measure counts the entries that f.dtype changes, and finds the first finite one that it cannot hold, or -1.
func (f *factor) measure() (overflow int) {
	f.rounded, f.roundedBy, overflow = 0, 0, -1
	if f.same() {
		return overflow
	}
	width := f.tensor.DType.Bits() / 8
	data := f.source.Bytes(f.tensor)
	var written [8]byte
	for i := 0; i*width < len(data); i++ {
		exact := entry(data[i*width:], f.tensor.DType) * f.scale
		put(written[:], exact, f.dtype)
		got := entry(written[:], f.dtype)
		switch {
		case got == exact || math.IsNaN(exact):
		case math.IsInf(got, 0):
			if overflow < 0 {
				overflow = i
			}
		default:
			f.rounded++
			f.roundedBy = max(f.roundedBy, math.Abs(got/exact-1))
		}
	}
	return overflow
}

// same reports whether the entries keep their bits.
func (f *factor) same() bool { return f.scale == 1 && f.dtype == f.tensor.DType }

// bytes is the data as it is written. It is a copy unless nothing changes.
func (f *factor) bytes() ([]byte, error) {
	data, width := f.source.Bytes(f.tensor), f.dtype.Bits()/8
	if !f.same() {
		from := f.tensor.DType.Bits() / 8
		rounded := make([]byte, f.rows*f.cols*width)
		for i := range f.rows * f.cols {
			put(rounded[i*width:], entry(data[i*from:], f.tensor.DType)*f.scale, f.dtype)
		}
		data = rounded
	}
	if f.heads > 0 {
		arranged := make([]byte, len(data))
		if err := f.arrange(arranged, data, f.rows, f.heads); err != nil {
			return nil, err
		}
		data = arranged
	}
	if f.transposed {
		turned := make([]byte, len(data))
		for i := range f.rows {
			for j := range f.cols {
				copy(turned[(j*f.rows+i)*width:(j*f.rows+i+1)*width], data[(i*f.cols+j)*width:])
			}
		}
		data = turned
	}
	return data, nil
}

// entry reads one value exactly.
func entry(p []byte, d tensor.DType) float64 {
	switch d {
	case tensor.F16:
		return float64(tensor.F16ToF32(binary.LittleEndian.Uint16(p)))
	case tensor.BF16:
		return float64(tensor.BF16ToF32(binary.LittleEndian.Uint16(p)))
	}
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(p)))
}

// put writes one value, rounded once, to nearest with ties to even.
func put(p []byte, v float64, d tensor.DType) {
	switch d {
	case tensor.F16:
		binary.LittleEndian.PutUint16(p, tensor.F64ToF16(v))
	case tensor.BF16:
		binary.LittleEndian.PutUint16(p, tensor.F64ToBF16(v))
	default:
		binary.LittleEndian.PutUint32(p, math.Float32bits(float32(v)))
	}
}

// ggufType is the type of ggml that stores a dtype's bits.
func ggufType(d tensor.DType) gguf.Type {
	switch d {
	case tensor.F16:
		return gguf.F16
	case tensor.BF16:
		return gguf.BF16
	}
	return gguf.F32
}
