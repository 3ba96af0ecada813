package cpu

import (
	"golang.org/x/sys/unix"
)

// blockAlign keeps tensors on cache lines of their own.
const blockAlign = 64

// block is memory outside the garbage collector's heap. Weights are large, live long, and end at a known moment; in the heap a released
// generation would stay until the collector felt like it, and the collector would allow as much garbage again as there are weights.
type block struct{ bytes []byte }

// allocate maps n zeroed bytes. It refuses what the machine cannot give, with the numbers, rather than be killed on first touch.
func (b *Backend) allocate(n int64, what string) (*block, error) {
	if free, known := b.available(); known && uint64(n) > free {
		return nil, noRoom("%s needs %d bytes of memory, %d are available", what, n, free)
	}
	return mapped(n, what)
}

// mapped is allocate for what was asked for before.
func mapped(n int64, what string) (*block, error) {
	bytes, err := unix.Mmap(-1, 0, int(max(n, 1)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, noRoom("%s needs %d bytes of memory: %v", what, n, err)
	}
	adviseLargePages(bytes)
	return &block{bytes: bytes[:n]}, nil
}

// free unmaps. Nobody may look at the bytes again. A nil block is free.
func (m *block) free() {
	if m != nil && m.bytes != nil {
		_ = unix.Munmap(m.bytes[:cap(m.bytes)])
		m.bytes = nil
	}
}

// layout hands out aligned parts of a block that does not exist yet.
type layout struct{ size int64 }

func (l *layout) add(length int64) (offset int64) {
	offset = l.size
	l.size += (length + blockAlign - 1) / blockAlign * blockAlign
	return offset
}
