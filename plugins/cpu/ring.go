package cpu

// streamBytes is how much of a weight, and of what stands beside it, a merge reads at a time: enough for a device's full speed, and little enough that a
// block is still in the processor's cache when it is written.
const streamBytes = 1 << 20

// ahead is how many more tensors are under way in a Merge than there are threads to compute with: while one waits for the disk, another computes.
const ahead = 1

// ring is the buffers of one merge, which its workers use again and again. They lie on pages of their own, outside the heap.
type ring struct {
	memory *block
	spare  chan []byte
}

// newRing allocates a buffer for each of n workers, which holds streamBytes, and at least as much as is asked for. Where that is nothing there are
// none.
func (b *Backend) newRing(least, n int) (*ring, error) {
	if least == 0 {
		n = 0
	}
	size := int64(max(streamBytes, least))
	size = (size + pageAlign - 1) / pageAlign * pageAlign
	memory, err := b.allocate(size*int64(n), "merging")
	if err != nil {
		return nil, err
	}
	r := &ring{memory, make(chan []byte, n)}
	for i := range int64(n) {
		r.give(memory.bytes[i*size : (i+1)*size : (i+1)*size])
	}
	return r, nil
}

// pageAlign is a multiple of every page size in use.
const pageAlign = 64 << 10

func (r *ring) take() []byte {
	if cap(r.spare) == 0 {
		return nil
	}
	return <-r.spare
}

func (r *ring) give(buffer []byte) {
	if buffer != nil {
		r.spare <- buffer
	}
}

// free unmaps the buffers, all of which have been given back.
func (r *ring) free() { r.memory.free() }
