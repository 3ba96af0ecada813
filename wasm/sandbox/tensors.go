package sandbox

import (
	"encoding/binary"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func tensorShape(c *call) (int32, error) {
	view := c.view(1, 16)
	o, err := c.object(0)
	if err != nil {
		return 0, err
	}
	rows, cols := o.shape()
	binary.LittleEndian.PutUint64(view[0:], uint64(rows))
	binary.LittleEndian.PutUint64(view[8:], uint64(cols))
	return 0, nil
}

// readRange checks what both reads ask for: n elements from first on, and room for them of size bytes each.
func (c *call) readRange(size uint64) (o object, first int64, n int, view []byte, err error) {
	count := c.i32(3)
	first = c.i64(1)
	view = c.view(2, uint64(max(count, 0))*size)
	if o, err = c.object(0); err != nil {
		return nil, 0, 0, nil, err
	}
	rows, cols := o.shape()
	if all := int64(rows) * int64(cols); count < 0 || first < 0 || first > all || int64(count) > all-first {
		return nil, 0, 0, nil, fail(abi.Range, "%d elements from %d on of a matrix of %d x %d", count, first, rows, cols)
	}
	return o, first, int(count), view, nil
}

func tensorReadF32(c *call) (int32, error) {
	o, first, n, view, err := c.readRange(4)
	if err != nil {
		return 0, err
	}
	if m, ok := o.(*computed); ok {
		for i, value := range m.data[first : first+int64(n)] {
			binary.LittleEndian.PutUint32(view[4*i:], math.Float32bits(float32(value)))
		}
		return int32(n), nil
	}
	s := o.(*stored)
	if len(c.floats) < min(n, chunk) {
		c.floats = make([]float32, min(n, chunk))
	}
	return int32(n), c.elements(s, first, n, func(raw []byte, at int) error {
		floats := c.floats[:len(raw)/s.DType.Size()]
		if err := tensor.ToF32(floats, raw, s.DType); err != nil {
			return err
		}
		for i, value := range floats {
			binary.LittleEndian.PutUint32(view[4*(at+i):], math.Float32bits(value))
		}
		return nil
	})
}

func tensorReadF64(c *call) (int32, error) {
	o, first, n, view, err := c.readRange(8)
	if err != nil {
		return 0, err
	}
	if m, ok := o.(*computed); ok {
		for i, value := range m.data[first : first+int64(n)] {
			binary.LittleEndian.PutUint64(view[8*i:], math.Float64bits(value))
		}
		return int32(n), nil
	}
	s := o.(*stored)
	if len(c.doubles) < min(n, chunk) {
		c.doubles = make([]float64, min(n, chunk))
	}
	return int32(n), c.elements(s, first, n, func(raw []byte, at int) error {
		doubles := c.doubles[:len(raw)/s.DType.Size()]
		if err := tensor.ToF64(doubles, raw, s.DType); err != nil {
			return err
		}
		for i, value := range doubles {
			binary.LittleEndian.PutUint64(view[8*(at+i):], math.Float64bits(value))
		}
		return nil
	})
}

func tensorPutF64(c *call) (int32, error) {
	rows, cols := c.i32(1), c.i32(2)
	if rows < 1 || cols < 1 {
		return 0, fail(abi.Shape, "a matrix of %d x %d", rows, cols)
	}
	if err := c.room(int(rows), int(cols), 0); err != nil { // before the size is taken in 64 bits, which it might not fit
		return 0, err
	}
	values := c.view(0, 8*uint64(rows)*uint64(cols))
	return c.add(&computed{rows: int(rows), cols: int(cols), data: doublesOf(values)})
}

// doublesOf copies little-endian f64 values.
func doublesOf(bytes []byte) []float64 {
	values := make([]float64, len(bytes)/8)
	for i := range values {
		values[i] = math.Float64frombits(binary.LittleEndian.Uint64(bytes[8*i:]))
	}
	return values
}

func tensorDrop(c *call) (int32, error) {
	if _, err := c.object(0); err != nil {
		return 0, err
	}
	c.drop(c.i32(0))
	return 0, nil
}
