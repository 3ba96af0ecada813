package cpu

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// TestSlowReaderHoldsNothing starts a text that nobody reads: it ends all the same, and so does its hold of a generation that was released.
func TestSlowReaderHoldsNothing(t *testing.T) {
	m := smallModel(t)
	b := serving(m, Options{Workers: 1, Texts: 1})
	memory, err := b.allocate(1, "a test")
	if err != nil {
		t.Fatal(err)
	}
	g := published(t, b, m, memory, "g", 1)
	stream := &unread{ctx: t.Context(), first: make(chan struct{}), read: make(chan struct{})}
	done := make(chan error)
	go func() {
		done <- b.Generate(&backendpb.GenerateRequest{Alias: "live", Prompt: []int32{1}, MaxTokens: 500, Logprobs: 20}, stream)
	}()
	<-stream.first
	if _, err := b.Activate(t.Context(), &backendpb.ActivateRequest{Alias: "live", Sequence: 2}); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Release(t.Context(), &backendpb.ReleaseRequest{Generation: []byte("g")}); err != nil || !r.Existed {
		t.Fatal(r, err)
	}
	// The only place is free for the next text once this one is computed.
	if events := textOf(t, connect(t, b), &backendpb.GenerateRequest{Alias: "live", Prompt: []int32{1}, MaxTokens: 2}); len(events) != 4 {
		t.Errorf("%d events", len(events))
	}
	if g.refs.Load() != 0 || g.memory.bytes != nil {
		t.Error("the generation is held")
	}
	close(stream.read)
	if err := <-done; err != nil || stream.events != 502 {
		t.Errorf("%d events, %v", stream.events, err)
	}
}

// unread is a stream whose client does not read for a while.
type unread struct {
	grpc.ServerStream
	ctx         context.Context
	first, read chan struct{}
	events      int
}

func (s *unread) Context() context.Context { return s.ctx }

func (s *unread) Send(*backendpb.GenerateEvent) error {
	if s.events++; s.events == 1 {
		close(s.first)
		<-s.read
	}
	return nil
}

// TestSwapHammer switches an alias and releases what it meant while texts of it are computed in batches. Memory ends with the last text and not
// before, which a fault would show, and in the end there are no texts, pages or goroutines.
func TestSwapHammer(t *testing.T) {
	m := smallModel(t)
	ignored := goleak.IgnoreCurrent()
	b := serving(m, Options{Workers: 2, Texts: 6})
	long := randomText(m, 3*pageTokens)
	stop := make(chan struct{})
	// Each generation's embedding lies in its own memory.
	var generations []*generation
	publish := func(sequence uint64) *generation {
		id := fmt.Sprint(sequence)
		memory, err := b.allocate(int64(len(m.embed.bytes)), "a test")
		if err != nil {
			t.Fatal(err)
		}
		copy(memory.bytes, m.embed.bytes)
		own := m.embed.stored
		own.bytes = memory.bytes
		next, err := m.with(map[string]stored{m.embed.name: own})
		if err != nil {
			t.Fatal(err)
		}
		g := published(t, b, next, memory, id, sequence)
		generations = append(generations, g)
		return g
	}
	last := publish(1)
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithCancel(t.Context())
				x, err := b.begin(ctx, m, &backendpb.GenerateRequest{Alias: "live", Prompt: long[:1+(n*37+i*71)%len(long)], MaxTokens: 5, Logprobs: -1})
				if err != nil {
					t.Error(err)
				} else {
					events := 0
					for range x.queue {
						if events++; n%3 == 0 {
							cancel()
						}
					}
					if x.err == nil && events != 7 || x.err != nil && status.Code(x.err) != codes.Canceled {
						t.Errorf("%d events, %v", events, x.err)
					}
				}
				cancel()
			}
		})
	}
	for sequence := uint64(2); sequence < 150; sequence++ {
		next := publish(sequence)
		if r, err := b.Release(t.Context(), &backendpb.ReleaseRequest{Generation: []byte(last.id)}); err != nil || !r.Existed {
			t.Fatalf("release: %v, %v", r, err)
		}
		last = next
		time.Sleep(time.Millisecond) // lets some texts of each be computed
	}
	close(stop)
	readers.Wait()
	for _, g := range generations[:len(generations)-1] {
		if g.refs.Load() != 0 || g.memory.bytes != nil || g.requests.Load() != 0 {
			t.Fatalf("generation %s has %d holds and %d requests", g.id, g.refs.Load(), g.requests.Load())
		}
	}
	e := b.engine.Load()
	if kept := e.store.idle.Len(); e.store.live != kept || e.scheduler.reserved != 0 || e.scheduler.running != 0 {
		t.Errorf("%d pages are held and %d kept, %d reserved, %d texts", e.store.live, kept, e.scheduler.reserved, e.scheduler.running)
	}
	for p := e.store.idle.Front(); p != nil; p = p.Next() {
		if tree := p.Value.(*prefix).tree; tree != &last.prefixes {
			t.Error("a page of a released generation is kept")
		}
	}
	goleak.VerifyNone(t, ignored)
}
