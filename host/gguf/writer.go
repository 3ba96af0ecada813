package gguf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Writer streams a file of version 3: the head goes out first, then the tensors' data in their order, in pieces of any size; the Writer adds the
// padding between tensors. The same arguments and data give the same bytes.
type Writer struct {
	w         io.Writer
	tensors   []Tensor
	alignment int
	current   int   // the tensor that the next byte belongs to
	left      int64 // bytes of it not yet written
	err       error // of a write that failed; the file is lost
}

var _ io.WriteCloser = (*Writer)(nil)

// Layout is the head of a file, padded, with the pairs and tensors in their order; the returned tensors have their offsets from the start of the
// file and their lengths, and size is that of the whole file. An alignment of 0 is DefaultAlignment; another than that must be among the pairs
// (AlignmentKey). It fails for what ReadHeader would refuse.
func Layout(pairs []Pair, tensors []Tensor, alignment int) (head []byte, laid []Tensor, size int64, err error) {
	if alignment == 0 {
		alignment = DefaultAlignment
	}
	head = append(head, magic...)
	head = binary.LittleEndian.AppendUint32(head, Version)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(tensors)))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(pairs)))
	for _, p := range pairs {
		head = appendText(head, p.Key)
		head = binary.LittleEndian.AppendUint32(head, uint32(p.Type))
		head = append(head, p.Raw...)
	}
	laid = slices.Clone(tensors)
	next := int64(0)
	for i := range laid {
		t := &laid[i]
		var sizes []uint64
		for _, n := range slices.Backward(t.Shape) {
			if n < 0 {
				return nil, nil, 0, fmt.Errorf("lay out GGUF file: tensor %q: shape %v", t.Name, t.Shape)
			}
			sizes = append(sizes, uint64(n))
		}
		measured := Tensor{Name: t.Name, Type: t.Type}
		if failed := measured.measure(sizes); failed != nil {
			return nil, nil, 0, fmt.Errorf("lay out GGUF file: %w", failed.Of(t.Name))
		}
		t.Length, t.Offset = measured.Length, next
		head = appendText(head, t.Name)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(sizes)))
		for _, n := range sizes {
			head = binary.LittleEndian.AppendUint64(head, n)
		}
		head = binary.LittleEndian.AppendUint32(head, uint32(t.Type))
		head = binary.LittleEndian.AppendUint64(head, uint64(next))
		if t.Length > 1<<62-next {
			return nil, nil, 0, fmt.Errorf("lay out GGUF file: tensor %q: the file overflows", t.Name)
		}
		next = padded(next+t.Length, alignment)
	}
	start := padded(int64(len(head)), alignment)
	size = start + next
	// What is written must be readable: the reader checks names, duplicates, values and the alignment.
	read, err := ReadHeader("", &headOnly{head, size}, size, Limits{})
	if err != nil {
		return nil, nil, 0, fmt.Errorf("lay out GGUF file: %w", err)
	}
	same := func(a, b Pair) bool { return a.Key == b.Key && a.Type == b.Type && bytes.Equal(a.Raw, b.Raw) }
	if !slices.EqualFunc(read.Pairs, pairs, same) {
		return nil, nil, 0, fmt.Errorf("lay out GGUF file: a value has not the length of its type")
	}
	if read.Alignment != alignment {
		return nil, nil, 0, fmt.Errorf("lay out GGUF file: the alignment is %d, but %s says %d", alignment, AlignmentKey, read.Alignment)
	}
	for i := range laid {
		laid[i].Offset += start
	}
	return append(head, make([]byte, start-int64(len(head)))...), laid, size, nil
}

// headOnly is a file of which only the head exists yet; the rest reads as zeros.
type headOnly struct {
	head []byte
	size int64
}

func (h *headOnly) ReadAt(p []byte, offset int64) (int, error) {
	n := 0
	if offset < int64(len(h.head)) {
		n = copy(p, h.head[offset:])
	}
	rest := p[n:]
	clear(rest[:min(int64(len(rest)), max(h.size-offset-int64(n), 0))])
	if int64(len(p)) > h.size-offset {
		return int(max(h.size-offset, 0)), io.EOF
	}
	return len(p), nil
}

// NewWriter lays the file out (see Layout) and writes its head to w. Of the tensors it takes Name, Type and Shape.
func NewWriter(w io.Writer, pairs []Pair, tensors []Tensor, alignment int) (*Writer, error) {
	head, laid, _, err := Layout(pairs, tensors, alignment)
	if err != nil {
		return nil, err
	}
	if alignment == 0 {
		alignment = DefaultAlignment
	}
	if _, err := w.Write(head); err != nil {
		return nil, fmt.Errorf("write GGUF head: %w", err)
	}
	out := &Writer{w: w, tensors: laid, alignment: alignment}
	if len(laid) > 0 {
		out.left = laid[0].Length
	}
	return out, nil
}

// Tensors are the tensors with their offsets and lengths in the file that is written.
func (w *Writer) Tensors() []Tensor { return slices.Clone(w.tensors) }

// Write appends data. It refuses a piece that reaches past the last tensor.
func (w *Writer) Write(p []byte) (done int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	for len(p) > 0 {
		if w.current == len(w.tensors) {
			w.err = fmt.Errorf("write GGUF data: %d bytes after the last tensor", len(p))
			return done, w.err
		}
		part := p[:min(int64(len(p)), w.left)]
		n, err := w.w.Write(part)
		done += n
		w.left -= int64(n)
		if err != nil {
			w.err = fmt.Errorf("write GGUF data: %w", err)
			return done, w.err
		}
		p = p[len(part):]
		if w.left == 0 {
			if err := w.finishTensor(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// finishTensor writes the padding after the current tensor and goes on to the next.
func (w *Writer) finishTensor() error {
	n := w.tensors[w.current].Length
	if _, err := w.w.Write(make([]byte, padded(n, w.alignment)-n)); err != nil {
		w.err = fmt.Errorf("write GGUF data: %w", err)
		return w.err
	}
	if w.current++; w.current < len(w.tensors) {
		w.left = w.tensors[w.current].Length
	}
	return nil
}

// Close fails unless exactly all bytes have been written. It does not close the writer underneath.
func (w *Writer) Close() error {
	if w.err == nil && w.current < len(w.tensors) {
		w.err = fmt.Errorf("write GGUF data: tensor %q lacks %d bytes, and %d tensors follow it",
			w.tensors[w.current].Name, w.left, len(w.tensors)-w.current-1)
	}
	return w.err
}
