package safetensors

import (
	"fmt"
	"io"
	"slices"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Writer streams a file: the header goes out first, then the data, in the order of the entries, in pieces of any size.
type Writer struct {
	w    io.Writer
	refs []tensor.Ref
	left int64 // bytes of data not yet written
	err  error // of a write that failed; the file is lost
}

var _ io.WriteCloser = (*Writer)(nil)

// NewWriter lays the file out (see Layout) and writes its header to w.
func NewWriter(w io.Writer, entries []Entry, metadata map[string]string) (*Writer, error) {
	header, refs, size, err := Layout(entries, metadata)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(header); err != nil {
		return nil, fmt.Errorf("write safetensors header: %w", err)
	}
	return &Writer{w: w, refs: refs, left: size - int64(len(header))}, nil
}

// Refs is where each entry's data goes, with absolute offsets, in the order of the entries.
func (w *Writer) Refs() []tensor.Ref { return slices.Clone(w.refs) }

// Write appends data. It refuses, and writes nothing of, a piece that reaches past the last tensor.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.left {
		w.err = fmt.Errorf("write safetensors data: %d bytes where only %d are left", len(p), w.left)
		return 0, w.err
	}
	n, err := w.w.Write(p)
	w.left -= int64(n)
	if err != nil {
		w.err = fmt.Errorf("write safetensors data: %w", err)
	}
	return n, w.err
}

// Close fails unless exactly all bytes have been written. It does not close the writer underneath.
func (w *Writer) Close() error {
	if w.err == nil && w.left > 0 {
		w.err = fmt.Errorf("write safetensors data: %d bytes are missing", w.left)
	}
	return w.err
}
