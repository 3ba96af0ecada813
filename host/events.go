package host

import (
	"context"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/server"
)

// publish tells the feed, in the name of whoever asks.
func (s *Serving) publish(ctx context.Context, e server.Event) {
	if e.Actor == "" {
		e.Actor = server.ActorOf(ctx).Name
	}
	s.feed.Publish(e)
}

// progressPause is how often at most one step of a load is told: a listener wants to see that it goes on, not each tensor.
const progressPause = 200 * time.Millisecond

// listen is a context whose slow steps are told to the feed.
func (s *Serving) listen(ctx context.Context, load server.Load) context.Context {
	var mu sync.Mutex
	last := map[string]time.Time{}
	return withListener(ctx, func(what string, done, total int) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Sub(last[what]) < progressPause && done < total {
			return
		}
		last[what] = now
		s.publish(ctx, server.Event{Kind: server.KindProgress, Alias: load.Alias, Ref: load.Ref, Step: what, Done: int64(done), Total: int64(total)})
	})
}
