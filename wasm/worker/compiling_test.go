package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOneCompilesAtATime(t *testing.T) {
	var c compiling
	var inside, most atomic.Int64
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			done, err := c.acquire(t.Context(), [32]byte{1})
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			inside.Add(-1)
			done()
			done() // again is harmless
		})
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d compiled at once", most.Load())
	}

	first, err := c.acquire(t.Context(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.acquire(t.Context(), [32]byte{2}) // another guest does not wait
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.acquire(ctx, [32]byte{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("who gives up gets %v", err)
	}
	first()
}
