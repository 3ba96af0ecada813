package host

import (
	"context"
	"slices"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
)

const (
	loadsInFlight  = 2   // checked and staged at once, where the options do not say
	loadsWaiting   = 256 // of everybody
	loadsOfATenant = 64  // that wait
)

// turns lets a bounded number of loads work at a time, and the tenants take turns: one who sends a hundred loads delays another by one.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting map[string][]chan struct{} // by tenant, first come first
	order   []string                   // tenants that wait, the next one first
	total   int
}

func newTurns(n int) *turns {
	if n <= 0 {
		n = loadsInFlight
	}
	return &turns{free: n, waiting: map[string][]chan struct{}{}}
}

// take waits for a turn. The caller gives it back.
func (t *turns) take(ctx context.Context, tenant string) (back func(), err error) {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return t.back, nil
	}
	if queue := t.waiting[tenant]; t.total >= loadsWaiting || len(queue) >= loadsOfATenant {
		t.mu.Unlock()
		return nil, fault.New(fault.IOSpace, "%d loads wait already, %d of them yours", t.total, len(queue)).Fix("wait for those to end")
	}
	mine := make(chan struct{})
	if len(t.waiting[tenant]) == 0 {
		t.order = append(t.order, tenant)
	}
	t.waiting[tenant] = append(t.waiting[tenant], mine)
	t.total++
	t.mu.Unlock()
	select {
	case <-mine:
		return t.back, nil
	case <-ctx.Done():
	}
	if !t.leave(tenant, mine) {
		t.back() // its turn came meanwhile
	}
	return nil, fault.New(fault.Canceled, "the load was given up while it waited for its turn").Wrap(ctx.Err())
}

// leave takes a waiter out of the queue; it is false for one whose turn has come.
func (t *turns) leave(tenant string, mine chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting[tenant], mine)
	if i < 0 {
		return false
	}
	t.drop(tenant, i)
	if len(t.waiting[tenant]) == 0 {
		delete(t.waiting, tenant)
		t.order = slices.DeleteFunc(t.order, func(other string) bool { return other == tenant })
	}
	return true
}

func (t *turns) drop(tenant string, i int) {
	t.waiting[tenant] = slices.Delete(t.waiting[tenant], i, i+1)
	t.total--
}

// back hands a turn to the tenant who is next, who goes to the end of the line.
func (t *turns) back() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == 0 {
		t.free++
		return
	}
	tenant := t.order[0]
	t.order = t.order[1:]
	next := t.waiting[tenant][0]
	t.drop(tenant, 0)
	if len(t.waiting[tenant]) > 0 {
		t.order = append(t.order, tenant)
	} else {
		delete(t.waiting, tenant)
	}
	close(next)
}
