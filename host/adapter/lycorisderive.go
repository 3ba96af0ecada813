package adapter

import (
	"encoding/binary"
	"io"
	"math"
	"runtime"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// The limits on what is computed from one file: bytes, and multiplications, which take an hour at a billion each second. Without a base, whose
// size bounds what fits it, they are lower.
const (
	maxDerivedBytes = 256 << 30
	maxDerivedWork  = 1 << 42
	maxUnboundBytes = 1 << 30
	maxUnboundWork  = 1 << 36
)

// derivation is the matrices that are computed from the tensors of a file: in f64, each value rounded once to F32.
type derivation struct {
	derivations
	file  string  // what errors call the file
	bytes float64 // of all matrices
	work  float64 // multiplications
}

// computed is a matrix to be computed.
type computed struct {
	name       string
	source     string // the tensor of the file that a fault names
	rows, cols int
	// open reads what the rows are computed from. What it returns adds to row i, which comes as zeros, and may run for several rows at once.
	open func() func(i int, row []float64)
}

// matrix promises a matrix. multiplications is how many one of its values takes.
func (d *derivation) matrix(c computed, multiplications int) safetensors.Tensor {
	values := float64(c.rows) * float64(c.cols)
	d.bytes += 4 * values
	d.work += values * float64(max(multiplications, 1))
	return d.add(c.name, tensor.F32, []int{c.rows, c.cols}, func(w io.Writer) error { return c.write(w, d.file) })
}

// check refuses what would take too long or too much room.
func (d *derivation) check(bound bool) *fault.Error {
	mostBytes, mostWork := float64(maxUnboundBytes), float64(maxUnboundWork)
	if bound {
		mostBytes, mostWork = maxDerivedBytes, maxDerivedWork
	}
	if d.bytes <= mostBytes && d.work <= mostWork {
		return nil
	}
	return fault.New(fault.ADUnsupported, "its changes have to be computed first, which takes %.3g bytes and %.3g multiplications; the limits are "+
		"%.3g and %.3g", d.bytes, d.work, mostBytes, mostWork).In(d.file).
		Fix("merge the adapter with the tool that trained it, and give the merged model as the base")
}

// chunk is how many values are computed before they are written.
const chunk = 1 << 20

// write computes the matrix by rows, several at once, and writes them in order: each row is computed alone, so the bytes do not depend on how
// many run at once.
func (c *computed) write(w io.Writer, file string) error {
	row := c.open()
	atOnce := max(1, min(c.rows, chunk/max(c.cols, 1)))
	out := make([]byte, atOnce*c.cols*4)
	workers := min(runtime.GOMAXPROCS(0), atOnce)
	for from := 0; from < c.rows; from += atOnce {
		n := min(atOnce, c.rows-from)
		bad := make([]bool, n)
		var group sync.WaitGroup
		for worker := range workers {
			group.Go(func() {
				values := make([]float64, c.cols)
				for i := worker; i < n; i += workers {
					clear(values)
					row(from+i, values)
					bad[i] = !encode(out[i*c.cols*4:(i+1)*c.cols*4], values)
				}
			})
		}
		group.Wait()
		for i := range bad {
			if bad[i] {
				return fault.New(fault.ADOverflowOnMerge, "what is computed from it for %s does not fit F32, first in row %d", quoted(c.name), from+i).
					In(file).Of(c.source).Fix("give another checkpoint of the adapter, or a lower alpha")
			}
		}
		if _, err := w.Write(out[:n*c.cols*4]); err != nil {
			return err
		}
	}
	return nil
}

// encode rounds values to F32 and reports whether all are finite.
func encode(p []byte, values []float64) bool {
	finite := true
	for i, v := range values {
		f := float32(v)
		bits := math.Float32bits(f)
		finite = finite && bits&0x7f800000 != 0x7f800000
		binary.LittleEndian.PutUint32(p[4*i:], bits)
	}
	return finite
}

// derive computes what the targets need and gives them its places.
func (s *assembly) derive(binding *Binding) error {
	if e := s.derived.check(s.base != nil); e != nil {
		return e
	}
	file, err := s.derived.make(s.derived.file + " (derived)")
	if err != nil || file == nil {
		return err
	}
	for i := range s.targets {
		s.targets[i].settle(file)
	}
	binding.Derived = file
	return nil
}
