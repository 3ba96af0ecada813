package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// BenchmarkChange merges a matrix by each form, in the bytes of W read and written, on one thread.
func BenchmarkChange(b *testing.B) {
	const rows, cols, rank = 1024, 4096, 16
	r := rand.New(rand.NewPCG(1, 2))
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F32} {
		w := gaussian(r, dtype, rows*cols, 0.02)
		start, dense := gaussian(r, tensor.F32, rows*cols, 0.02), gaussian(r, tensor.F32, rows*cols, 0.02)
		half := gaussian(r, tensor.F16, rows*cols, 0.02)
		blocks := make([]*Delta, 16)
		for i := range blocks {
			blocks[i] = randomDelta(b, r, rank, rows/len(blocks), cols, false)
		}
		pair := []*Delta{randomDelta(b, r, rank, rows, cols, false)}
		transposed := []*Delta{randomDelta(b, r, rank, rows, cols, true)}
		var few []StartRow
		for row := 0; row < rows; row += 64 {
			few = append(few, StartRow{Row: row})
		}
		for _, form := range []struct {
			name         string
			change       Change
			start, dense []byte
		}{
			{"pair", Change{Deltas: pair}, nil, nil},
			{"blocks", Change{Deltas: blocks}, nil, nil},
			{"dense=F32", Change{Dense: tensor.F32, Scale: 1.5}, nil, dense},
			{"dense=F16", Change{Dense: tensor.F16, Scale: 1}, nil, half},
			{"start=own", Change{Start: dtype}, w, nil},
			{"start=F32", Change{Start: tensor.F32}, start, nil},
			{"start=rows", Change{Start: tensor.F32, StartRows: few}, start[:len(few)*cols*4], nil},
			{"start=F32+pair", Change{Deltas: pair, Start: tensor.F32}, start, nil},
			{"pair+gains=rows", Change{Deltas: pair, Gains: gaussians(r, rows)}, nil, nil},
			{"pair+gains=columns", Change{Deltas: transposed, Gains: gaussians(r, cols), OfColumns: true}, nil, nil},
			{"dense=F32+gains=runs", Change{Dense: tensor.F32, Scale: 1, Gains: gaussians(r, cols/4), OfColumns: true}, nil, dense},
		} {
			c := &form.change
			c.Rows, c.Cols = rows, cols
			run := func(name string, do func() error) {
				b.Run(fmt.Sprintf("%v/%s/%s", dtype, form.name, name), func(b *testing.B) {
					b.SetBytes(2 * int64(len(w)))
					for b.Loop() {
						if err := do(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			dst := make([]byte, len(w))
			run("merge", func() error {
				_, err := c.MergeRows(dst, w, form.start, form.dense, dtype, 0, rows)
				return err
			})
			if c.Gains != nil {
				run("squares", func() error { return c.SquareSums(c.Sums(), w, form.start, form.dense, dtype, 0, rows) })
			}
		}
	}
	for _, form := range []string{"pair", "dense"} { // of a vector
		const rows = 1 << 18
		b.Run("BF16/vector/"+form, func(b *testing.B) {
			c, w, dense := &Change{Rows: rows, Cols: 1}, gaussian(r, tensor.BF16, rows, 1), []byte(nil)
			if form == "pair" {
				c.Deltas = []*Delta{randomDelta(b, r, 1, rows, 1, false)}
			} else {
				c.Dense, dense = tensor.BF16, w
			}
			b.SetBytes(2 * int64(len(w)))
			for b.Loop() {
				if _, err := c.MergeRows(w, w, nil, dense, tensor.BF16, 0, rows); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
