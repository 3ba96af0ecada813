package cpu

import (
	"sync"
	"sync/atomic"
)

// crew is the threads that one computation has. They stay between its steps, each of which is too short to start threads for.
type crew struct {
	wake  []chan struct{} // of each helper; the caller is one more
	work  func(i, worker int)
	n     int
	next  atomic.Int64
	group sync.WaitGroup
}

// newCrew starts size threads, the caller's included. They end with dismiss.
func newCrew(size int) *crew {
	c := &crew{}
	for worker := 1; worker < size; worker++ {
		wake := make(chan struct{}, 1)
		c.wake = append(c.wake, wake)
		go func() {
			for range wake {
				c.turns(worker)
				c.group.Done()
			}
		}()
	}
	return c
}

// size is how many there are with the caller.
func (c *crew) size() int { return len(c.wake) + 1 }

// dismiss ends the helpers. Nothing may be asked of them again.
func (c *crew) dismiss() {
	for _, wake := range c.wake {
		close(wake)
	}
}

// sharedProducts is the least work, counted in multiplications, that helpers are woken for.
const sharedProducts = 1 << 17

// each calls work for every i below n and says which worker does it, from 0. All have returned when it returns. One call takes about so many
// multiplications.
func (c *crew) each(n, products int, work func(i, worker int)) {
	helpers := min(len(c.wake), n-1, n*products/sharedProducts)
	if helpers <= 0 {
		for i := range n {
			work(i, 0)
		}
		return
	}
	c.work, c.n = work, n
	c.next.Store(0)
	c.group.Add(helpers)
	for _, wake := range c.wake[:helpers] {
		wake <- struct{}{}
	}
	c.turns(0)
	c.group.Wait()
	c.work = nil
}

func (c *crew) turns(worker int) {
	for {
		i := int(c.next.Add(1)) - 1
		if i >= c.n {
			return
		}
		c.work(i, worker)
	}
}
