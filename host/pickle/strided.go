package pickle

import (
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/host/fault"
)

// strided is a tensor as PyTorch describes it: a view of a storage. All counts are in elements.
type strided struct {
	stored
	offset int64
	shape  []int64
	stride []int64
}

// maxDims is more than any tensor's dimensions.
const maxDims = 16

// rebuild interprets _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]) and holds the view against its
// storage.
func (m *machine) rebuild(arguments tuple) *fault.Error {
	if len(arguments) != 6 && len(arguments) != 7 {
		return m.refuse("_rebuild_tensor_v2 is called with %d arguments", len(arguments))
	}
	storage, isStorage := arguments[0].(stored)
	offset, isCount := arguments[1].(int64)
	shape, isShape := counts(arguments[2])
	stride, isStride := counts(arguments[3])
	switch {
	case !isStorage || !isCount || !isShape || !isStride || len(shape) != len(stride) || len(shape) > maxDims || offset < 0:
		return m.refuse("a tensor that is not described as PyTorch does")
	case len(arguments) == 7 && arguments[6] != nil && !isEmpty(arguments[6]):
		return m.refuse("a tensor with metadata: a conjugate or negative view is not what is stored").
			Fix("save it again after resolve_conj() and resolve_neg()")
	case !isEmpty(arguments[5]):
		return m.refuse("a tensor with backward hooks")
	}
	t := strided{stored: storage, offset: offset, shape: shape, stride: stride}
	if t.count() < 0 {
		return m.refuse("a shape of more elements than there can be: %v", shape)
	}
	if last := t.last(); last >= storage.elements {
		return m.refuse("a tensor of shape %v and strides %v reaches element %d of a storage of %d", shape, stride, last, storage.elements)
	}
	m.push(t)
	return nil
}

// counts are the whole numbers, from 0, of a tuple or list.
func counts(v any) ([]int64, bool) {
	items, ok := v.(tuple)
	if !ok {
		return nil, false
	}
	out := make([]int64, len(items))
	for i, item := range items {
		n, ok := item.(int64)
		if !ok || n < 0 {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}

func isEmpty(v any) bool {
	d, ok := v.(*dict)
	return ok && len(d.keys) == 0
}

// count is the number of the tensor's elements; -1 where that is no number.
func (t strided) count() int64 {
	n := int64(1)
	for _, d := range t.shape {
		if d == 0 {
			return 0
		}
	}
	for _, d := range t.shape {
		if n > math.MaxInt64/d {
			return -1
		}
		n *= d
	}
	return n
}

// last is the last element of the storage that the tensor takes; -1 for an empty one, and the greatest number where there is no such.
func (t strided) last() int64 {
	if t.count() == 0 {
		return -1
	}
	last := t.offset
	for i, d := range t.shape {
		if d > 1 && t.stride[i] > (math.MaxInt64-last)/(d-1) {
			return math.MaxInt64
		}
		last += (d - 1) * t.stride[i]
	}
	return last
}

// contiguous reports whether the elements lie in their storage in the order of the rows.
func (t strided) contiguous() bool {
	want := int64(1)
	for i := len(t.shape) - 1; i >= 0; i-- {
		if t.shape[i] != 1 && t.stride[i] != want {
			return false
		}
		want *= t.shape[i]
	}
	return true
}

// shown is a foreign name for a message, not too long.
func shown(name string) string {
	const most = 120
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.Quote(name)
}
