package sandbox

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// projected returns the operands of project: W, U and V.
func (c *call) projected() (w object, u, v *kernel.Matrix, err error) {
	if w, err = c.object(0); err != nil {
		return nil, nil, nil, err
	}
	if u, err = c.matrix(1); err != nil {
		return nil, nil, nil, err
	}
	if v, err = c.matrix(2); err != nil {
		return nil, nil, nil, err
	}
	rows, cols := w.shape()
	if u.Rows != rows || v.Rows != cols {
		return nil, nil, nil, fail(abi.Shape, "W is %d x %d, U has %d rows and V %d", rows, cols, u.Rows, v.Rows)
	}
	return w, u, v, c.room(max(rows, cols, u.Cols), max(u.Cols, v.Cols), 0) // the result, and W V or U' W on the way
}

func project(c *call) (int32, error) {
	w, u, v, err := c.projected()
	if err != nil {
		return 0, err
	}
	if s, ok := w.(*stored); ok {
		return c.addComputed(kernel.Project(s.rowsInFile(), s.transposed, u, v))
	}
	return c.addComputed(kernel.Project(w.(*computed).matrix(), false, u, v))
}

func projectStats(c *call) (int32, error) {
	view := c.view(3, abi.StatsSize)
	w, u, v, err := c.projected()
	if err != nil {
		return 0, err
	}
	var product *kernel.Matrix
	var counts abi.Stats
	switch w := w.(type) {
	case *computed:
		product, counts, err = kernel.ProjectStats(w.matrix(), false, u, v, tensor.F64)
	case *stored:
		product, counts, err = kernel.ProjectStats(w.rowsInFile(), w.transposed, u, v, w.DType)
		w.turn(&counts)
	}
	handle, err := c.addComputed(product, err)
	if err == nil {
		counts.Append(view[:0])
	}
	return handle, err
}
