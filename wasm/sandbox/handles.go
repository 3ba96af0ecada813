package sandbox

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// object is what a handle stands for: a matrix that lies in a file and is read when asked for, or one the host computed.
type object interface {
	shape() (rows, cols int)
	bytes() int64 // held in memory
}

// handles are the live objects of a run. Ids only go up, so that a dropped handle never comes back as something else.
type handles struct {
	live map[int32]object
	next int32
	held int64
}

// objectBytes is what an object costs beside its elements.
const objectBytes = 256

// stored is a matrix in a file. To the guest it is rows x cols; in the file it is cols x rows where transposed.
type stored struct {
	Source
	rows, cols int
	transposed bool
	base       bool // a weight of the base, which may be far larger than memory
}

func (s *stored) shape() (rows, cols int) { return s.rows, s.cols }
func (s *stored) bytes() int64            { return objectBytes }

// computed is a matrix in memory, row-major.
type computed struct {
	rows, cols int
	data       []float64
}

func (m *computed) shape() (rows, cols int) { return m.rows, m.cols }
func (m *computed) bytes() int64            { return objectBytes + 8*int64(len(m.data)) }

var (
	_ object = (*stored)(nil)
	_ object = (*computed)(nil)
)

// room refuses a matrix of rows x cols that would go over the quota, before it is made. extra is bytes of other matrices to come.
func (r *run) room(rows, cols int, extra int64) error {
	size := 8*float64(rows)*float64(cols) + float64(extra) + objectBytes
	if size > float64(r.limits.HostTensors-r.objects.held) {
		r.log.note("tensors were refused at the limit of %d bytes", r.limits.HostTensors)
		return fail(abi.Quota, "a matrix of %d x %d beside %d bytes held, the limit is %d", rows, cols, r.objects.held, r.limits.HostTensors)
	}
	return nil
}

// add gives an object a handle.
func (r *run) add(o object) (int32, error) {
	if r.objects.held+o.bytes() > r.limits.HostTensors || r.objects.next == math.MaxInt32 {
		r.log.note("tensors were refused at the limit of %d bytes", r.limits.HostTensors)
		return 0, fail(abi.Quota, "%d bytes beside %d held, the limit is %d", o.bytes(), r.objects.held, r.limits.HostTensors)
	}
	id := r.objects.next
	r.objects.next++
	r.objects.live[id] = o
	r.objects.held += o.bytes()
	r.peak = max(r.peak, r.objects.held)
	return id, nil
}

// addAll gives several objects handles, or none of them.
func (r *run) addAll(objects ...object) ([]int32, error) {
	ids := make([]int32, 0, len(objects))
	for _, o := range objects {
		id, err := r.add(o)
		if err != nil {
			for _, added := range ids {
				r.drop(added)
			}
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// drop frees an object.
func (r *run) drop(id int32) {
	r.objects.held -= r.objects.live[id].bytes()
	delete(r.objects.live, id)
}

// object returns what the handle in argument i stands for.
func (c *call) object(i int) (object, error) {
	o, live := c.objects.live[c.i32(i)]
	if !live {
		return nil, fail(abi.BadHandle, "%d", c.i32(i))
	}
	return o, nil
}

// abiDType is a dtype as the guest knows it.
func abiDType(d tensor.DType) abi.DType {
	switch d {
	case tensor.F16:
		return abi.DTypeF16
	case tensor.BF16:
		return abi.DTypeBF16
	case tensor.F32:
		return abi.DTypeF32
	case tensor.F64:
		return abi.DTypeF64
	}
	return 0
}
