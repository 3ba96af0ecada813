package worker

import (
	"context"
	"sync"
)

// compiling lets one run at a time compile a guest: the others wait until its code is in the cache, and then load it. Modules that share a
// guest are often started together.
type compiling struct {
	mu   sync.Mutex
	busy map[[32]byte]chan struct{}
}

// acquire waits until nobody compiles the guest, and takes over. done may be called more than once, and must be called. It fails when ctx ends.
func (c *compiling) acquire(ctx context.Context, sum [32]byte) (done func(), err error) {
	for {
		c.mu.Lock()
		wait, taken := c.busy[sum]
		if !taken {
			if c.busy == nil {
				c.busy = map[[32]byte]chan struct{}{}
			}
			mine := make(chan struct{})
			c.busy[sum] = mine
			c.mu.Unlock()
			return sync.OnceFunc(func() {
				c.mu.Lock()
				delete(c.busy, sum)
				c.mu.Unlock()
				close(mine)
			}), nil
		}
		c.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
