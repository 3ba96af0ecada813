package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// counter adds up the counts of goroutines.
type counter struct{ changed, nonFinite atomic.Int64 }

func (t *counter) add(c Counts) {
	t.changed.Add(c.Changed)
	t.nonFinite.Add(c.NonFinite)
}

func (t *counter) counts() Counts {
	return Counts{Changed: t.changed.Load(), NonFinite: t.nonFinite.Load()}
}

// deal calls do for blocks that cover rows, concurrently. All blocks but the last have a multiple of granule rows; there are several for each
// worker, since workers are not equally fast.
func deal(rows, granule, workers int, do func(first, rows int)) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	const blocksEach = 8
	block := max(1, rows/(workers*blocksEach*granule)) * granule
	workers = min(workers, (rows+block-1)/block)
	if workers <= 1 {
		do(0, rows)
		return
	}
	var next atomic.Int64
	work := func() {
		for {
			first := int(next.Add(int64(block))) - block
			if first >= rows {
				return
			}
			do(first, min(block, rows-first))
		}
	}
	var group sync.WaitGroup
	for range workers - 1 {
		group.Go(work)
	}
	work() // the caller works too
	group.Wait()
}
