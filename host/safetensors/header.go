// Package safetensors reads and writes the safetensors container: an 8-byte little-endian length, a JSON header of that length, and the
// tensors' bytes, which the header's offsets must tile without gap or overlap.
//
// The reader is strict where the format is silent or other readers are lax: duplicate keys (also through escapes), invalid UTF-8, unknown
// keys, holes and trailing bytes are refused, each with its own code of host/fault. Nothing is allocated in proportion to a length a file
// claims before that length has been checked against the file's size and a limit, and no nesting in a header costs stack.
package safetensors

import (
	"io"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// MaxHeaderBytes is the format's own maximum for the JSON header; no Limits can raise it.
const MaxHeaderBytes = 100_000_000

// lengthBytes is the size of the length field in front of the header.
const lengthBytes = 8

// metadataKey is the one key of a header that names no tensor.
const metadataKey = "__metadata__"

// Limits bound what a file may ask for. A field of 0 sets no bound, beyond MaxHeaderBytes for the header.
type Limits struct {
	HeaderBytes   int64 // of the JSON header
	FileBytes     int64 // of the whole file
	Tensors       int   // entries in the header
	Dims          int   // axes of one tensor
	MetadataBytes int   // keys and values of __metadata__ together, unescaped
}

// DefaultLimits are the limits for adapters, whose files are copied into memory and come from anybody.
var DefaultLimits = Limits{HeaderBytes: 8 << 20, FileBytes: 2 << 30, Tensors: 65_536, Dims: 64, MetadataBytes: 4 << 20}

// BaseLimits are the limits for base checkpoints: a header of any length the format allows, a file of any size.
var BaseLimits = Limits{HeaderBytes: MaxHeaderBytes, Tensors: 65_536, Dims: 64, MetadataBytes: 4 << 20}

// Tensor is one stored tensor. Its Offset counts from the start of the file and its File is 0.
type Tensor struct {
	tensor.Ref
}

// Header is what a file says about itself, all of it checked: the tensors tile the bytes from DataStart to Bytes exactly.
type Header struct {
	Tensors   []Tensor          // by offset, then length, then name
	Metadata  map[string]string // nil when the header has no __metadata__
	DataStart int64             // offset of the first byte after the header
	Bytes     int64             // size of the file

	index map[string]int // name to place in Tensors
}

// Tensor returns the tensor of that name.
func (h *Header) Tensor(name string) (Tensor, bool) {
	i, ok := h.index[name]
	if !ok {
		return Tensor{}, false
	}
	return h.Tensors[i], true
}

// ReadHeader reads and checks the header of the file of size bytes behind r. The name is what errors call the file. A fault of the
// framing or of the JSON ends the reading; faults of meaning (a wrong offset, a wrong size, a duplicate) are returned together, as a
// fault.List.
func ReadHeader(name string, r io.ReaderAt, size int64, limits Limits) (*Header, error) {
	length, err := readFrame(name, r, size, limits)
	if err != nil {
		return nil, err
	}
	text := make([]byte, length)
	if err := readFull(name, r, text, lengthBytes); err != nil {
		return nil, err
	}
	p := parser{
		cursor: cursor{file: name, text: text},
		limits: limits,
		data:   size - lengthBytes - length,
		seen:   make(map[string]bool),
	}
	if failed := p.header(); failed != nil {
		p.faults.Add(failed)
	} else {
		p.checkTiling()
	}
	if err := p.faults.Err(); err != nil {
		return nil, err
	}
	h := &Header{
		Tensors:   p.tensors,
		Metadata:  p.metadata,
		DataStart: lengthBytes + length,
		Bytes:     size,
		index:     make(map[string]int, len(p.tensors)),
	}
	for i := range h.Tensors {
		h.Tensors[i].Offset += h.DataStart
		h.index[h.Tensors[i].Name] = i
	}
	return h, nil
}

// readFull fills p from r at offset. A file that ends early has changed since its size was taken.
func readFull(name string, r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case err == io.EOF:
		return fault.New(fault.STChanged, "the file ended after %d of %d bytes: it shrank while it was read", n, len(p)).
			In(name).AtByte(offset + int64(n)).Fix("use a file that nobody is writing")
	}
	return fault.New(fault.IORead, "reading failed after %d of %d bytes", n, len(p)).In(name).AtByte(offset + int64(n)).Wrap(err).
		Fix("check the disk")
}
