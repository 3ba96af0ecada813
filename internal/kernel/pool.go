package kernel

import (
	"sync"
	"unsafe"
)

// scratch is the working memory of one call. It grows to what its calls needed.
type scratch struct {
	factors []float32
	columns []float32
	tile    []byte
	floats  []float32
	pieces  []float32
	lanes   []float64
	panel   panel

	sameGain [lanes16]float32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// rowFactors returns n floats, of any value.
func (s *scratch) rowFactors(n int) []float32 {
	if len(s.factors) < n {
		s.factors = alignedFloats(n)
	}
	return s.factors[:n]
}

// columnFactors returns n floats, of any value.
func (s *scratch) columnFactors(n int) []float32 {
	if len(s.columns) < n {
		s.columns = alignedFloats(n)
	}
	return s.columns[:n]
}

// bytes returns n bytes, of any value, aligned as floats are.
func (s *scratch) bytes(n int) []byte {
	if len(s.tile) < n {
		s.tile = make([]byte, n)
	}
	return s.tile[:n]
}

// sums returns n floats, of any value.
func (s *scratch) sums(n int) []float32 {
	if len(s.floats) < n {
		s.floats = alignedFloats(n)
	}
	return s.floats[:n]
}

// values returns n floats, of any value.
func (s *scratch) values(n int) []float32 {
	if len(s.pieces) < n {
		s.pieces = alignedFloats(n)
	}
	return s.pieces[:n]
}

// laneSums returns n zeros.
func (s *scratch) laneSums(n int) []float64 {
	if len(s.lanes) < n {
		s.lanes = make([]float64, n)
	}
	clear(s.lanes[:n])
	return s.lanes[:n]
}

// panelFor returns a panel with room for columns of a delta of this rank: for cols, or for as many as stay in the caches.
func (s *scratch) panelFor(rank, cols int) *panel {
	s.panel.grow(rank, cols)
	return &s.panel
}

// alignedFloats makes a slice that begins at a multiple of 64 bytes: on a cache line, and where every vector may be loaded from.
func alignedFloats(n int) []float32 {
	const line = 64
	s := make([]float32, n+line/4)
	from := -uintptr(unsafe.Pointer(&s[0])) % line / 4
	return s[from:][:n:n]
}
