package merge

import (
	"cmp"
	"slices"
	"sync"
)

// maxWaiting is how many tensors may wait for one of their length.
const maxWaiting = 6

// couples brings together tensors of equal length, as the weights of a model mostly are, so that both are read back side by side.
type couples struct {
	start func(...*reading) // one or two of them

	mu      sync.Mutex
	waiting []*reading // of different lengths, ascending
}

// add starts a tensor with one of its length, or lets it wait for that.
func (c *couples) add(r *reading) {
	c.mu.Lock()
	i, found := slices.BinarySearchFunc(c.waiting, r, func(a, b *reading) int { return cmp.Compare(a.ref.Length, b.ref.Length) })
	couple := []*reading{r}
	switch {
	case found:
		couple = append(couple, c.waiting[i])
		c.waiting = slices.Delete(c.waiting, i, i+1)
	case len(c.waiting) < maxWaiting:
		c.waiting = slices.Insert(c.waiting, i, r)
		couple = nil
	}
	c.mu.Unlock()
	if couple != nil {
		c.start(couple...)
	}
}

// end starts everything that still waits, neighbours in length together, the longest first.
func (c *couples) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Reverse(c.waiting)
	for couple := range slices.Chunk(c.waiting, 2) {
		c.start(couple...)
	}
	c.waiting = nil
}
