package cpu

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// maxDims is the most dimensions a tensor may have; checkpoints have up to five.
const maxDims = 8

// extent is a tensor row of a request after every claim in it was checked.
type extent struct {
	name   string
	dtype  tensor.DType
	shape  []int
	file   int // index into the files of the same request
	offset int64
	length int64
}

func (e extent) end() int64 { return e.offset + e.length }

// entries is how many numbers it has. The product was checked with the length.
func (e extent) entries() int {
	if e.dtype.Size() == 0 {
		return 0
	}
	return int(e.length) / e.dtype.Size()
}

// matrix is the rows and columns that a tensor is read as: its first dimension by all others together, and a vector as n x 1.
func (e extent) matrix() (rows, cols int) {
	if len(e.shape) == 0 {
		return 1, 1
	}
	cols = 1
	for _, d := range e.shape[1:] {
		cols *= d
	}
	return e.shape[0], cols
}

// parseExtent checks one row against the files it refers to. The what is for the message: "base tensor", "factor A of …".
func parseExtent(what string, t *backendpb.Tensor, files []*backendpb.File) (extent, error) {
	if t == nil || t.Name == "" {
		return extent{}, invalid("a %s has no name", what)
	}
	dtype, ok := tensor.ParseDType(t.Dtype)
	if !ok {
		return extent{}, invalid("%s %q: unknown dtype %q", what, t.Name, t.Dtype)
	}
	if len(t.Shape) > maxDims {
		return extent{}, invalid("%s %q: %d dimensions, at most %d are read", what, t.Name, len(t.Shape), maxDims)
	}
	size := uint64(dtype.Bits())
	shape := make([]int, len(t.Shape))
	for i, dim := range t.Shape {
		if dim < 0 {
			return extent{}, invalid("%s %q: dimension %d is %d", what, t.Name, i, dim)
		}
		shape[i] = int(dim)
		high, low := bits.Mul64(size, uint64(dim))
		if high != 0 || low >= 1<<62 {
			return extent{}, invalid("%s %q: shape %v overflows", what, t.Name, t.Shape)
		}
		size = low
	}
	if size%8 != 0 || t.Length != int64(size/8) {
		return extent{}, invalid("%s %q: %d bytes are not %v of %s", what, t.Name, t.Length, t.Shape, t.Dtype)
	}
	if t.File < 0 || int(t.File) >= len(files) {
		return extent{}, invalid("%s %q: file %d of %d", what, t.Name, t.File, len(files))
	}
	if file := files[t.File]; t.Offset < 0 || t.Offset > file.Size-t.Length {
		return extent{}, invalid("%s %q: bytes %d to %d of %q, which has %d", what, t.Name, t.Offset, t.Offset+t.Length, file.Path, file.Size)
	}
	return extent{name: t.Name, dtype: dtype, shape: shape, file: int(t.File), offset: t.Offset, length: t.Length}, nil
}

// refuseOverlap fails where two extents of a file share bytes: memory is counted once for each, so overlaps would multiply it.
func refuseOverlap(extents []extent) error {
	sorted := slices.Clone(extents)
	sortByPlace(sorted)
	for i := 1; i < len(sorted); i++ {
		a, b := sorted[i-1], sorted[i]
		if a.file == b.file && a.end() > b.offset && b.length > 0 {
			return invalid("tensors %q and %q share bytes of file %d at %d", a.name, b.name, b.file, b.offset)
		}
	}
	return nil
}

func sortByPlace(extents []extent) {
	slices.SortStableFunc(extents, func(a, b extent) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.offset, b.offset), cmp.Compare(a.length, b.length))
	})
}
