package server

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// queue bounds the texts that are asked for at once, over all and for each alias, those that wait in the backend included. The backend decides
// which of them runs when; what is beyond the bounds is turned away with an estimate of when there will be room.
type queue struct {
	most, each int // texts, over all and of one alias
	traffic    *traffic

	mu      sync.Mutex
	held    int
	aliases map[string]int
	mean    float64 // seconds that a text took, the last ones most
	closed  bool
	empty   chan struct{} // closed when closed and nothing is held
}

func newQueue(most, each int, traffic *traffic) *queue {
	if most <= 0 {
		most = 256
	}
	if each <= 0 || each > most {
		each = most
	}
	return &queue{most: most, each: each, traffic: traffic, aliases: map[string]int{}, empty: make(chan struct{})}
}

// enter takes room for texts of an alias, "" for the base. The caller calls leave once.
func (q *queue) enter(alias string, texts int) (leave func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, &apiError{status: http.StatusServiceUnavailable, code: fault.ServerDown, retry: true, quiet: true, message: "the server is being stopped"}
	case texts > q.each:
		return nil, refuse(http.StatusBadRequest, "n", "%d texts in one request are more than the %d that one model may have in flight", texts, q.each)
	case q.held+texts > q.most:
		return nil, q.full("%d texts are in flight already, of %d", q.held, q.most)
	case q.aliases[alias]+texts > q.each:
		return nil, q.full("%d texts of this model are in flight already, of %d", q.aliases[alias], q.each)
	}
	q.held += texts
	q.aliases[alias] += texts
	start := time.Now()
	return func() { q.leave(alias, texts, time.Since(start)) }, nil
}

func (q *queue) leave(alias string, texts int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held -= texts
	if q.aliases[alias] -= texts; q.aliases[alias] == 0 {
		delete(q.aliases, alias)
	}
	if q.mean == 0 {
		q.mean = took.Seconds()
	}
	q.mean += (took.Seconds() - q.mean) / 16
	if q.closed && q.held == 0 {
		close(q.empty)
	}
}

// full is the refusal of a request that there is no room for: with a mean time and so many texts at once, one ends every mean/held.
func (q *queue) full(message string, args ...any) error {
	wait := 1.0
	if running := q.traffic.running(); running > 0 {
		wait = q.mean * float64(max(q.held-running, 1)) / float64(running)
	}
	return &apiError{status: http.StatusTooManyRequests, code: fault.ServerDown, retry: true, after: int(math.Ceil(min(max(wait, 1), 60))),
		message: fmt.Sprintf(message, args...)}
}

// drain turns away what comes and waits until nothing is held. Its error is the context's.
func (q *queue) drain(ctx context.Context) error {
	q.mu.Lock()
	if !q.closed {
		if q.closed = true; q.held == 0 {
			close(q.empty)
		}
	}
	q.mu.Unlock()
	select {
	case <-q.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// draining reports whether new requests are turned away.
func (q *queue) draining() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
