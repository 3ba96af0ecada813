package cpu

// streamBytes is how much of a weight a Merge reads, merges and writes at a time: enough for a device's full speed, and little enough that a
// block is still in the processor's cache when it is written.
const streamBytes = 1 << 20

// ahead is how many more tensors are under way in a Merge than there are threads to compute with: while one waits for the disk, another computes.
const ahead = 1

// ring is the block buffers of one Merge, which its workers use again and again. They lie on pages of their own, outside the heap.
type ring struct {
	memory *block
	spare  chan []byte
}

// newRing allocates a buffer for each of n workers, which holds streamBytes, and at least one row of every weight.
func (b *Backend) newRing(outputs []*output, n int) (*ring, error) {
	size := int64(streamBytes)
	for _, o := range outputs {
		size = max(size, int64(o.patch.cols)*int64(o.from.dtype.Size()))
	}
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

func (r *ring) take() []byte { return <-r.spare }

func (r *ring) give(buffer []byte) { r.spare <- buffer }

// free unmaps the buffers, all of which have been given back.
func (r *ring) free() { r.memory.free() }
