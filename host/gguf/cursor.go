package gguf

import (
	"encoding/binary"
	"io"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// chunk is how much of a head is read at a time, in bytes. Most adapters' heads fit one.
const chunk = 64 << 10

// cursor reads a head from its start. What it has read stays in text, so that values can be cut out of it; text never grows beyond limit.
type cursor struct {
	file  string
	r     io.ReaderAt
	size  int64 // of the file
	limit int64 // of the head
	text  []byte
	at    int // place of the next byte in text
}

// place is the offset of the next byte in the file.
func (c *cursor) place() int64 { return int64(c.at) }

// take returns the next n bytes, valid until the next take. What asks for more than the file or the limit has costs no memory.
func (c *cursor) take(n uint64) ([]byte, *fault.Error) {
	left := uint64(c.size - c.place())
	switch {
	case n > left:
		return nil, fault.New(fault.GGTrunc, "the head asks for %d bytes here, but only %d follow", n, left).AtByte(c.place()).
			Fix("download or save the file again; it is not whole")
	case c.limit > 0 && n > uint64(max(c.limit-c.place(), 0)):
		return nil, fault.New(fault.GGLimit, "the head is longer than the limit of %d bytes", c.limit).AtByte(c.place()).
			Fix("check that this is the right file")
	}
	if failed := c.fill(c.at + int(n)); failed != nil {
		return nil, failed
	}
	c.at += int(n)
	return c.text[c.at-int(n) : c.at], nil
}

// fill reads on until text has at least n bytes, which are in the file and within the limit.
func (c *cursor) fill(n int) *fault.Error {
	if n <= len(c.text) {
		return nil
	}
	want := int64(max(n, len(c.text)+chunk, 2*len(c.text)))
	want = min(want, c.size)
	if c.limit > 0 {
		want = max(min(want, c.limit), int64(n))
	}
	grown := make([]byte, want)
	have := copy(grown, c.text)
	if failed := readFull(c.r, grown[have:], int64(have)); failed != nil {
		return failed
	}
	c.text = grown
	return nil
}

// u32 reads a number of 4 bytes.
func (c *cursor) u32() (uint32, *fault.Error) {
	b, failed := c.take(4)
	if failed != nil {
		return 0, failed
	}
	return binary.LittleEndian.Uint32(b), nil
}

// u64 reads a number of 8 bytes.
func (c *cursor) u64() (uint64, *fault.Error) {
	b, failed := c.take(8)
	if failed != nil {
		return 0, failed
	}
	return binary.LittleEndian.Uint64(b), nil
}

// text reads a string.
func (c *cursor) string() ([]byte, *fault.Error) {
	n, failed := c.u64()
	if failed != nil {
		return nil, failed
	}
	return c.take(n)
}

// readFull fills p from r at offset. A file that ends early has changed since its size was taken.
func readFull(r io.ReaderAt, p []byte, offset int64) *fault.Error {
	n, err := r.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case err == io.EOF:
		return fault.New(fault.GGChanged, "the file ended after %d of %d bytes: it shrank while it was read", n, len(p)).
			AtByte(offset + int64(n)).Fix("use a file that nobody is writing")
	}
	return fault.New(fault.IORead, "reading failed after %d of %d bytes", n, len(p)).AtByte(offset + int64(n)).Wrap(reference.Bare(err)).
		Fix("check the disk")
}
