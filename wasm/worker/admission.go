package worker

import (
	"context"
	"sync"

	"github.com/tenon-ml/tenon/sdk/abi"
)

const (
	// overheadBytes is what a worker needs beside what the limits of its run allow: the process, the module and the compiler at work on it.
	// A built-in guest takes 69 MiB to compile and 31 MiB to load from the cache; a module of the largest size accepted may take more.
	overheadBytes = 128 << 20
	// spareBytes is what a spare takes that has loaded a built-in guest; one that has read nothing takes 7 MiB.
	spareBytes = 32 << 20
)

// footprint is the memory that a run is taken to need.
func footprint(limits abi.Limits) int64 {
	limits = limits.WithDefaults()
	return overheadBytes + max(0, limits.GuestMemory) + max(0, limits.HostTensors)
}

// admission lets runs in, in the order of their coming, while there is a slot and memory for the next one. Nobody overtakes: a large run
// waits for no more than those before it.
type admission struct {
	slots  int
	budget int64 // bytes

	mu      sync.Mutex
	running int
	used    int64
	waiting []*admitted
}

// admitted is a run that waits or was let in.
type admitted struct {
	bytes int64
	enter chan struct{} // closed when it is let in
}

// acquire waits for a slot and bytes of memory. A run that asks for more than there is in all runs alone. release may be called more than
// once, and must be called. It fails when ctx ends.
func (a *admission) acquire(ctx context.Context, bytes int64) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	run := &admitted{bytes: min(bytes, a.budget), enter: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, run)
	a.admit()
	a.mu.Unlock()
	release = sync.OnceFunc(func() { a.leave(run) })
	select {
	case <-run.enter:
		return release, nil
	case <-ctx.Done():
		release()
		return nil, ctx.Err()
	}
}

// admit lets in whoever is next. The caller holds the lock.
func (a *admission) admit() {
	for len(a.waiting) > 0 && a.running < a.slots && a.used+a.waiting[0].bytes <= a.budget {
		run := a.waiting[0]
		a.waiting = a.waiting[1:]
		a.running++
		a.used += run.bytes
		close(run.enter)
	}
}

// leave gives back what a run has, or its place among those who wait.
func (a *admission) leave(run *admitted) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-run.enter:
		a.running--
		a.used -= run.bytes
	default:
		for i, other := range a.waiting {
			if other == run {
				a.waiting = append(a.waiting[:i:i], a.waiting[i+1:]...)
			}
		}
	}
	a.admit()
}
