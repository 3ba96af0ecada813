package pickle

import (
	"io"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// pieceBytes is read and written at a time, at most.
const pieceBytes = 1 << 20

// WriteTo writes a tensor's elements in the order of its rows, little-endian as they are stored, whatever its strides are.
func (c *Checkpoint) WriteTo(w io.Writer, t Tensor) error {
	if t.view.count() == 0 {
		return nil
	}
	data, err := c.archive.storage(t.view.stored)
	if err != nil {
		return err
	}
	size := int64(t.DType.Size())
	if t.view.contiguous() {
		_, err = io.CopyBuffer(struct{ io.Writer }{w}, io.NewSectionReader(data, t.view.offset*size, t.view.count()*size), make([]byte, pieceBytes))
	} else {
		err = t.view.gather(w, data, size)
	}
	if err != nil && len(fault.All(err)) == 0 {
		return fault.New(fault.IORead, "a tensor cannot be copied").In(c.Name).Of(t.Name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	return err
}

// gather writes the elements of a view one after another. It reads the part of the storage that the view takes into memory once, which is no
// larger than the file.
func (t strided) gather(w io.Writer, data io.ReaderAt, size int64) error {
	span := make([]byte, (t.last()-t.offset+1)*size)
	if _, err := io.ReadFull(io.NewSectionReader(data, t.offset*size, int64(len(span))), span); err != nil {
		return err
	}
	index := make([]int64, len(t.shape))
	out := make([]byte, 0, pieceBytes)
	at := int64(0)
	for range t.count() {
		out = append(out, span[at*size:(at+1)*size]...)
		if len(out) > pieceBytes-int(size) {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		for d := len(index) - 1; d >= 0; d-- {
			at += t.stride[d]
			if index[d]++; index[d] < t.shape[d] {
				break
			}
			at -= index[d] * t.stride[d]
			index[d] = 0
		}
	}
	_, err := w.Write(out)
	return err
}
