package cpu

import (
	"context"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// queue is a scheduler whose waiters tell in which order they were let in.
type queue struct {
	*scheduler
	t     *testing.T
	group sync.WaitGroup
	mu    sync.Mutex
	order []string
}

func newQueue(t *testing.T, texts, pages int) *queue {
	return &queue{scheduler: &scheduler{texts: texts, pages: pages, unreserved: func(int) {}}, t: t}
}

// wait stands in line until it is let in, and returns once it stands.
func (q *queue) wait(ctx context.Context, line, name string, pages int) {
	q.t.Helper()
	_, before := q.figures()
	q.group.Go(func() {
		err := q.enter(ctx, line, pages)
		q.mu.Lock()
		defer q.mu.Unlock()
		if err != nil {
			name += " " + status.Code(err).String()
		}
		q.order = append(q.order, name)
	})
	for _, now := q.figures(); now == before; _, now = q.figures() {
	}
}

// let ends a text of so many pages and waits until another one was let in.
func (q *queue) let(pages int) {
	before := q.told()
	q.leave(pages)
	for q.told() == before {
	}
}

func (q *queue) told() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.order)
}

func TestLinesTakeTurns(t *testing.T) {
	q := newQueue(t, 1, 100)
	if err := q.enter(t.Context(), "a", 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a1", "a2", "a3", "b1", "b2", "c1"} {
		q.wait(t.Context(), name[:1], name, 1)
	}
	for range 6 {
		q.let(1)
	}
	q.leave(1)
	q.group.Wait()
	if want := []string{"a1", "b1", "c1", "a2", "b2", "a3"}; !slices.Equal(q.order, want) {
		t.Errorf("let in: %v, want %v", q.order, want)
	}
	if q.running != 0 || q.waiting != 0 || q.reserved != 0 || len(q.lines) != 0 {
		t.Errorf("%+v", q.scheduler)
	}
}

// TestLargeTextsHaveTheirTurn: what does not fit is waited for by those behind it, in other lines too.
func TestLargeTextsHaveTheirTurn(t *testing.T) {
	q := newQueue(t, 10, 10)
	for range 2 {
		if err := q.enter(t.Context(), "a", 4); err != nil {
			t.Fatal(err)
		}
	}
	q.wait(t.Context(), "large", "large", 9)
	q.wait(t.Context(), "a", "small", 1)
	q.leave(4)
	if running, waiting := q.figures(); running != 1 || waiting != 2 {
		t.Fatalf("%d running, %d waiting while there is no room for the first", running, waiting)
	}
	q.let(4)
	q.group.Wait() // both fit now
	if q.reserved != 10 || q.running != 2 {
		t.Errorf("%d pages reserved by %d texts", q.reserved, q.running)
	}
}

// TestLeavingTheLine cancels the one that does not fit: those behind it are let in.
func TestLeavingTheLine(t *testing.T) {
	q := newQueue(t, 10, 10)
	room := 0
	q.unreserved = func(pages int) { room = pages }
	if err := q.enter(t.Context(), "a", 4); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	q.wait(ctx, "large", "large", 9)
	q.wait(t.Context(), "a", "small", 1)
	cancel()
	q.group.Wait()
	slices.Sort(q.order)
	if want := []string{"large " + codes.Canceled.String(), "small"}; !slices.Equal(q.order, want) {
		t.Errorf("%v, want %v", q.order, want)
	}
	if q.running != 2 || q.waiting != 0 || q.reserved != 5 || room != 5 {
		t.Errorf("%d running, %d waiting, %d pages reserved, %d not", q.running, q.waiting, q.reserved, room)
	}
}

// TestRoomIsRefusedWithNumbers: a text that the cache could never hold, or the machine cannot now, does not wait.
func TestRoomIsRefusedWithNumbers(t *testing.T) {
	m := smallModel(t)
	page := 4 * int64(m.pageFloats())
	for _, c := range []struct {
		name           string
		cache          int64
		free           uint64
		tokens, beside int
		want           codes.Code
	}{
		{"it fits", 3 * page, 1 << 40, 3 * pageTokens, 0, codes.OK},
		{"more than the cache", 3 * page, 1 << 40, 3*pageTokens + 1, 0, codes.ResourceExhausted},
		{"little needs no look", 1 << 40, 0, pageTokens, 0, codes.OK},
		{"more than the machine has", 1 << 40, uint64(page), 2 * pageTokens * int(plentyBytes/page), 0, codes.ResourceExhausted},
		{"more than it has beside others", 1 << 40, uint64(plentyBytes), pageTokens, int(plentyBytes / page), codes.ResourceExhausted},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(m.config, Options{Workers: 1, CacheBytes: c.cache}, func() (uint64, bool) { return c.free, true })
			if c.beside > 0 {
				if err := e.scheduler.enter(t.Context(), "others", c.beside); err != nil {
					t.Fatal(err)
				}
			}
			leave, err := e.enter(t.Context(), "line", c.tokens, 1)
			if status.Code(err) != c.want {
				t.Errorf("%v, want %v", err, c.want)
			}
			if err == nil {
				leave()
			}
		})
	}
}
