// Package gguf reads and writes GGUF, the container of llama.cpp: a head of typed key-value pairs and tensor descriptions, and the tensors'
// bytes, each tensor at a multiple of the alignment. Versions 2 and 3 in little-endian byte order are read; version 3 is written.
//
// The reader is as strict as llama.cpp's own, and stricter where that is lax: keys and names are given once, every byte of the file belongs
// to the head, to one tensor, or to the padding after one, and nothing is allocated in proportion to a count or a length that the file
// claims before that has been checked against a limit and the file's size. Refusals have the codes GG_… of host/fault.
package gguf

import (
	"io"
)

// Version is the version of the format that is written; version 2 has the same layout.
const Version = 3

// magic is what a file begins with.
const magic = "GGUF"

// DefaultAlignment is the alignment of the tensors' bytes where general.alignment does not give another.
const DefaultAlignment = 32

// AlignmentKey is the key that gives the alignment.
const AlignmentKey = "general.alignment"

// MaxNameBytes is the length of the longest tensor name that llama.cpp can hold.
const MaxNameBytes = 63

// MaxDims is the number of axes that a tensor of ggml can have.
const MaxDims = 4

// Limits bound what a file may ask for. A field of 0 sets no bound.
type Limits struct {
	HeaderBytes int64 // from the start of the file to the last tensor description
	FileBytes   int64 // of the whole file
	Tensors     int   // descriptions
	Pairs       int   // key-value pairs
}

// AdapterLimits are for adapters, which come from anybody.
var AdapterLimits = Limits{HeaderBytes: 16 << 20, FileBytes: 2 << 30, Tensors: 65_536, Pairs: 4_096}

// BaseLimits are for models: their heads hold a whole vocabulary.
var BaseLimits = Limits{HeaderBytes: 256 << 20, Tensors: 65_536, Pairs: 4_096}

// Tensor is one tensor.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int // row-major: ggml's ne in reverse
	Offset int64 // from the start of the file, bytes
	Length int64 // bytes, without padding
}

// Elements is the product of the shape.
func (t Tensor) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// RowElements is the number of elements of one row: the last axis, which quantised blocks never cross. A tensor without axes has one.
func (t Tensor) RowElements() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[len(t.Shape)-1]
}

// Header is what a file says about itself, all of it checked: the tensors lie one after the other from DataStart, in the order of Tensors,
// each followed by the padding that the alignment asks for.
type Header struct {
	Version   uint32
	Pairs     []Pair   // in the order of the file
	Tensors   []Tensor // in the order of the file
	Alignment int
	DataStart int64 // offset of the first tensor
	Bytes     int64 // size of the file

	pairs   map[string]int // key to place in Pairs
	tensors map[string]int // name to place in Tensors
}

// Tensor returns the tensor of that name.
func (h *Header) Tensor(name string) (Tensor, bool) {
	i, ok := h.tensors[name]
	if !ok {
		return Tensor{}, false
	}
	return h.Tensors[i], true
}

// Pair returns the pair of that key.
func (h *Header) Pair(key string) (Pair, bool) {
	i, ok := h.pairs[key]
	if !ok {
		return Pair{}, false
	}
	return h.Pairs[i], true
}

// ReadHeader reads and checks the head of the file of size bytes behind r. The name is what errors call the file. Errors are *fault.Error or
// a fault.List; a fault of the framing ends the reading, faults of meaning (duplicates, unknown types, offsets) are returned together.
func ReadHeader(name string, r io.ReaderAt, size int64, limits Limits) (*Header, error) {
	p := parser{cursor: cursor{file: name, r: r, size: size}, limits: limits, tensors: map[string]int{}, pairs: map[string]int{}}
	if failed := p.read(); failed != nil {
		p.faults.Add(failed.In(name))
	}
	if err := p.faults.Err(); err != nil {
		return nil, err
	}
	return p.header(), nil
}
