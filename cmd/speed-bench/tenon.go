package main

import (
	"fmt"
	"os"
	"time"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/internal/machine"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// workerArgv0 is the name under which this program runs as Tenon's side of the merges in memory.
const workerArgv0 = "speed-bench-tenon"

// tenon merges with the kernels of this process. TENON_CPU says which, so there is a process for each.
type tenon struct {
	request  request
	dtype    tensor.DType
	src, dst []byte // copies of W, one after the other
	a, b     []byte // the factors as they are stored
	turn     int
	machine  *machine.Machine // once its limits are asked for
}

func serveTenon() error {
	t := &tenon{}
	about := map[string]string{"implementation": kernel.Implementation(), "limit": machine.Vectors()}
	return answer(os.Stdin, os.Stdout, about, t.serve)
}

func (t *tenon) serve(r request) (reply, error) {
	switch r.Op {
	case "prepare":
		return reply{}, t.prepare(r)
	case "merge":
		if t.src == nil {
			return reply{}, fmt.Errorf("nothing is prepared")
		}
		return t.merges(r)
	case "copy", "fma32", "fma64":
		return t.limit(r)
	}
	return reply{}, fmt.Errorf("%q is nothing that can be asked", r.Op)
}

func (t *tenon) prepare(r request) error {
	dtype, known := tensor.ParseDType(r.DType)
	if !known {
		return fmt.Errorf("dtype %q", r.DType)
	}
	t.request, t.dtype, t.src, t.dst, t.turn = r, dtype, nil, nil, 0
	w, err := os.ReadFile(r.W)
	if err != nil {
		return err
	}
	if t.a, err = os.ReadFile(r.A); err != nil {
		return err
	}
	if t.b, err = os.ReadFile(r.B); err != nil {
		return err
	}
	t.src, t.dst = make([]byte, 0, r.Copies*len(w)), make([]byte, 0, r.Copies*len(w))
	for range r.Copies {
		t.src, t.dst = append(t.src, w...), append(t.dst, w...)
	}
	return nil
}

// merges measures merges, each of the next copy of W into a place of its own, as every merge of Tenon is. The factors are taken as they are
// stored, so that scaling and widening them is a part of it.
func (t *tenon) merges(r request) (reply, error) {
	var out reply
	n := len(t.src) / t.request.Copies
	for total := 0.0; len(out.Seconds) < r.Times && total < r.Enough; {
		src, dst := t.src[t.turn*n:(t.turn+1)*n], t.dst[t.turn*n:(t.turn+1)*n]
		t.turn = (t.turn + 1) % t.request.Copies
		begin := time.Now()
		p := t.request
		d, err := kernel.NewDelta(t.a, tensor.F32, t.b, tensor.F32, p.Rank, p.Size, p.Size, p.Scale, false)
		if err != nil {
			return reply{}, err
		}
		if _, err := kernel.ParallelMergeRows(dst, src, t.dtype, d, 0, p.Size, r.Workers); err != nil {
			return reply{}, err
		}
		seconds := time.Since(begin).Seconds()
		out.Seconds, total = append(out.Seconds, seconds), total+seconds
		out.Sample = sample(dst, t.dtype, r.First, r.Step)
	}
	return out, nil
}

func sample(stored []byte, dtype tensor.DType, first, step int) []float64 {
	var values []float64
	one := make([]float64, 1)
	for at, size := first, dtype.Size(); step > 0 && (at+1)*size <= len(stored); at += step {
		if err := tensor.ToF64(one, stored[at*size:(at+1)*size], dtype); err != nil {
			return nil
		}
		values = append(values, one[0])
	}
	return values
}

// limit measures the machine. What is measured is of the amount asked for, in one go.
func (t *tenon) limit(r request) (reply, error) {
	if t.machine == nil {
		t.machine = machine.New()
	}
	measure := map[string]func(int64, int) time.Duration{"copy": t.machine.Copy, "fma32": machine.FMA32, "fma64": machine.FMA64}[r.Op]
	var out reply
	for total := 0.0; len(out.Seconds) < r.Times && total < r.Enough; {
		seconds := measure(r.Amount, r.Workers).Seconds()
		out.Seconds, total = append(out.Seconds, seconds), total+seconds
	}
	return out, nil
}
