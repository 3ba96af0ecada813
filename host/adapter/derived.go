package adapter

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// derivedEntry is a tensor that is computed and not read.
type derivedEntry struct {
	safetensors.Entry
	fill func(w io.Writer) error // writes the data
}

// derivations are the tensors of a Binding's Derived while they are collected. Nothing is computed before make.
type derivations []derivedEntry

// add promises a tensor. The offset of what it returns, or of some rows of it, is from its own start until
// settle; a length of 0 is all of it.
func (d *derivations) add(name string, dtype tensor.DType, shape []int, fill func(w io.Writer) error) safetensors.Tensor {
	*d = append(*d, derivedEntry{safetensors.Entry{Name: name, DType: dtype, Shape: shape}, fill})
	return safetensors.Tensor{Ref: tensor.Ref{Name: name, DType: dtype, Shape: shape, File: InDerived}}
}

// make computes the tensors; name is what errors call the file. It returns nil where there are none.
func (d derivations) make(name string) (*safetensors.File, error) {
	if len(d) == 0 {
		return nil, nil
	}
	entries := make([]safetensors.Entry, len(d))
	for i := range d {
		entries[i] = d[i].Entry
	}
	return safetensors.Derive(name, entries, nil, func(w io.Writer) error {
		for i := range d {
			if err := d[i].fill(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// settle gives the target's derived tensors their places in the file.
func (t *Target) settle(derived *safetensors.File) {
	for _, part := range []*safetensors.Tensor{&t.A, &t.B, &t.Dense, &t.Start, &t.Magnitude} {
		if part.Shape == nil || part.File != InDerived {
			continue
		}
		if placed, ok := derived.Tensor(part.Name); ok {
			part.Offset += placed.Offset
			if part.Length == 0 {
				part.Length = placed.Length
			}
		}
	}
}

// writeF32 writes values as little-endian F32, each rounded once.
func writeF32(w io.Writer, values []float64) error {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
	}
	_, err := w.Write(data)
	return err
}

// floats are the values of a tensor of the adapter.
func (a *Adapter) floats(t safetensors.Tensor) ([]float64, error) {
	values := make([]float64, t.Elements())
	return values, tensor.ToF64(values, a.Weights.Bytes(t), t.DType)
}
