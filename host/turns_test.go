package host

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// queued lets loads of these tenants wait behind one that works, and returns whose turn came in which order.
func queued(t *testing.T, tenants string) string {
	t.Helper()
	q := newTurns(1)
	back, err := q.take(t.Context(), "busy")
	if err != nil {
		t.Fatal(err)
	}
	order := make(chan string)
	for i, tenant := range strings.Split(tenants, "") {
		go func() {
			back, err := q.take(t.Context(), tenant)
			if err != nil {
				t.Error(err)
				return
			}
			order <- tenant
			back()
		}()
		for q.waits() != i+1 {
			runtime.Gosched()
		}
	}
	back()
	var got []string
	for range len(tenants) {
		got = append(got, <-order)
	}
	return strings.Join(got, "")
}

func (t *turns) waits() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}

// TestTenantsTakeTurns: who comes with many loads delays another by one.
func TestTenantsTakeTurns(t *testing.T) {
	for waiting, want := range map[string]string{"a": "a", "aaaab": "abaaa", "aabbcc": "abcabc", "aaabbc": "abcaba"} {
		if got := queued(t, waiting); got != want {
			t.Errorf("%s got their turns as %s, want %s", waiting, got, want)
		}
	}
}

// TestTurnGivenUp: who leaves the queue takes no turn with him, and what is full says so.
func TestTurnGivenUp(t *testing.T) {
	q := newTurns(1)
	back, err := q.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	for i := range loadsOfATenant {
		go func() {
			_, err := q.take(ctx, "a")
			left <- err
		}()
		for q.waits() != i+1 {
			runtime.Gosched()
		}
	}
	if _, err := q.take(ctx, "a"); len(fault.All(err)) == 0 || fault.All(err)[0].Code != fault.IOSpace {
		t.Errorf("one more than may wait: %v, want %s", err, fault.IOSpace)
	}
	cancel()
	for range loadsOfATenant {
		if err := <-left; len(fault.All(err)) == 0 || fault.All(err)[0].Code != fault.Canceled {
			t.Errorf("it ended with %v, want %s", err, fault.Canceled)
		}
	}
	if q.waits() != 0 || len(q.order) != 0 || len(q.waiting) != 0 {
		t.Errorf("%d wait, %v: want nobody", q.waits(), q.order)
	}
	back()
	if back, err = q.take(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	back()
	if q.free != 1 {
		t.Errorf("%d turns are free, want 1", q.free)
	}
}

// TestFollow is what Rollback goes back through after each kind of change.
func TestFollow(t *testing.T) {
	for changes, want := range map[string]string{
		"+A": "A", "+A +B": "AB", "+A +B +A": "ABA", "+A +B -A": "A", "+A +B +C -A": "A", "+A +B +C -B": "AB", "+A +B 0": "", "+A 0 +B": "B",
		"+A +B -A -B": "AB", // to what is no longer there to go back to
	} {
		got := fmtStack(changes)
		if got != want {
			t.Errorf("%s leaves %q, want %q", changes, got, want)
		}
	}
	long := strings.Repeat("+A +B ", maxStack)
	if got := fmtStack(strings.TrimSpace(long)); len(got) != maxStack || !slices.Equal([]byte(got[len(got)-2:]), []byte("AB")) {
		t.Errorf("%d steps are kept, want %d", len(got), maxStack)
	}
}
