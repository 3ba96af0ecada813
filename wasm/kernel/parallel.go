package kernel

import (
	"runtime"
	"sync"
)

// What runs in parallel writes to places of its own, in an order of its own that does not depend on how many goroutines there are.

// workers is how many goroutines are worth starting for so many parts and products in all.
func workers(parts int, products float64) int {
	const each = 200_000 // products that take some ten times as long as starting a goroutine
	return max(1, min(runtime.GOMAXPROCS(0), parts, int(min(products/each, 1e6))))
}

// parallel calls work(0) to work(workers-1), each in its own goroutine, and waits for all.
func parallel(workers int, work func(worker int)) {
	var group sync.WaitGroup
	for worker := 1; worker < workers; worker++ {
		group.Go(func() { work(worker) })
	}
	work(0)
	group.Wait()
}
