package diag

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// Tensor is a matrix the host holds. It is a handle: copying it copies no values, and Drop through any copy drops it for all. Tensors that
// nobody drops count against the run's limit on host memory until the run ends.
//
// The zero Tensor is none, and no call accepts it.
type Tensor struct{ id int32 } // handle + 1

func tensor(handle int32) Tensor { return Tensor{id: handle + 1} }

func (t Tensor) handle() int32 { return t.id - 1 }

// Put hands a matrix, row-major, to the host.
func Put(rows, cols int, values []float64) (Tensor, error) {
	if rows < 0 || cols < 0 || rows*cols != len(values) {
		return Tensor{}, &Error{Call: "tensor_put_f64", Status: abi.Shape, Text: "shapes do not fit: the values are not rows times columns"}
	}
	return made("tensor_put_f64", host.TensorPutF64(values, int32(rows), int32(cols)))
}

// Shape gives rows and columns.
func (t Tensor) Shape() (rows, cols int, err error) {
	var shape [2]int64
	if status := host.TensorShape(t.handle(), &shape); status < 0 {
		return 0, 0, failure("tensor_shape", status)
	}
	return int(shape[0]), int(shape[1]), nil
}

// Read32 fills dst with the elements from first on, row-major, rounded to f32.
func (t Tensor) Read32(dst []float32, first int) error {
	return done("tensor_read_f32", host.TensorReadF32(t.handle(), int64(first), dst))
}

// Read64 fills dst with the elements from first on, row-major.
func (t Tensor) Read64(dst []float64, first int) error {
	return done("tensor_read_f64", host.TensorReadF64(t.handle(), int64(first), dst))
}

// Values gives all elements, row-major. It is for small results: the factors and W are better left where they are.
func (t Tensor) Values() ([]float64, error) {
	rows, cols, err := t.Shape()
	if err != nil {
		return nil, err
	}
	values := make([]float64, rows*cols)
	return values, t.Read64(values, 0)
}

// Stats goes over the tensor once. It needs the capability kernels.
func (t Tensor) Stats() (abi.Stats, error) {
	var raw [abi.StatsSize]byte
	if status := host.Stats(t.handle(), &raw); status < 0 {
		return abi.Stats{}, failure("stats", status)
	}
	var stats abi.Stats
	stats.Decode(raw[:])
	return stats, nil
}

// Drop frees the tensor's bytes on the host. Dropping it again does nothing; any other use of it afterwards is an error.
func (t Tensor) Drop() { host.TensorDrop(t.handle()) }

func done(call string, status int32) error {
	if status < 0 {
		return failure(call, status)
	}
	return nil
}

func made(call string, handle int32) (Tensor, error) {
	if handle < 0 {
		return Tensor{}, failure(call, handle)
	}
	return tensor(handle), nil
}
