package server

import (
	"context"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/report"
)

// Event is something that happened, as GET /api/v1/events tells it.
type Event struct {
	ID         uint64         `json:"id"` // ascending by one; begins anew with the process
	Time       time.Time      `json:"time"`
	Kind       Kind           `json:"kind"`
	Alias      string         `json:"alias,omitzero"` // qualified
	Ref        string         `json:"ref,omitzero"`
	Adapter    string         `json:"adapter,omitzero"` // digest
	Generation string         `json:"generation,omitzero"`
	Verdict    report.Verdict `json:"verdict,omitzero"`
	Actor      string         `json:"actor,omitzero"`
	Step       string         `json:"step,omitzero"` // of Progress: what is being done
	Done       int64          `json:"done,omitzero"`
	Total      int64          `json:"total,omitzero"`
	Message    string         `json:"message,omitzero"` // for people
}

// Kind is what an Event is about.
type Kind string

// The kinds of events. There will be more.
const (
	KindChecking Kind = "checking" // an adapter is looked at
	KindProgress Kind = "progress" // a step of a load goes on
	KindChecked  Kind = "checked"  // there is a verdict
	KindStaged   Kind = "staged"   // a generation is complete and verified
	KindLive     Kind = "live"     // an alias means another generation
	KindRefused  Kind = "refused"  // the gate said no
	KindFailed   Kind = "failed"   // a load came to no end
	KindUnloaded Kind = "unloaded"
	KindFreed    Kind = "freed"   // a generation's memory was released
	KindBackend  Kind = "backend" // the backend's state changed
	KindGap      Kind = "gap"     // events before this one were missed
)

const (
	feedEvents = 1024 // kept for who comes back
	feedQueue  = 256  // events that one listener may lag behind
)

// Feed hands events to whoever listens. Publishing never waits: a listener that lags too far behind misses events and is told so.
type Feed struct {
	mu        sync.Mutex
	last      uint64
	recent    []Event // oldest first, at most feedEvents
	listeners map[*listener]struct{}
}

type listener struct {
	events chan Event
	missed bool
}

// NewFeed returns a Feed in which nothing has happened.
func NewFeed() *Feed { return &Feed{listeners: map[*listener]struct{}{}} }

// Publish numbers an event, dates it where it has no time, and hands it on.
func (f *Feed) Publish(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	e.ID = f.last
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	if len(f.recent) == feedEvents {
		copy(f.recent, f.recent[1:])
		f.recent = f.recent[:feedEvents-1]
	}
	f.recent = append(f.recent, e)
	for l := range f.listeners {
		l.offer(e)
	}
}

// offer gives an event to a listener, preceded by a gap where it missed some, if there is room.
func (l *listener) offer(e Event) {
	need := 1
	if l.missed {
		need = 2
	}
	if cap(l.events)-len(l.events) < need {
		l.missed = true
		return
	}
	if l.missed {
		l.events <- Event{ID: e.ID - 1, Time: e.Time, Kind: KindGap}
		l.missed = false
	}
	l.events <- e
}

// Subscribe returns the events after the one with this ID, as far as they are kept, and then those that come, until ctx ends; then the channel
// is closed. An ID that this feed has not reached is one of a process before: everything that is kept comes, after a gap.
func (f *Feed) Subscribe(ctx context.Context, after uint64) <-chan Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &listener{events: make(chan Event, feedEvents+feedQueue)}
	gap := after > f.last || len(f.recent) > 0 && after != 0 && after+1 < f.recent[0].ID
	if after > f.last {
		after = 0
	}
	if gap {
		l.events <- Event{ID: after, Time: time.Now().UTC(), Kind: KindGap}
	}
	for _, e := range f.recent {
		if e.ID > after {
			l.events <- e
		}
	}
	f.listeners[l] = struct{}{}
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners, l)
		close(l.events)
	})
	return l.events
}

// Last is the ID of the last event.
func (f *Feed) Last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}
