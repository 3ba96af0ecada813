package host

import (
	"context"

	"github.com/tenon-ml/tenon/host/gate"
)

// listener hears of the slow steps of one piece of work, from several goroutines.
type listener func(what string, done, total int)

type listenerKey struct{}

// withListener is a context whose work is told to l, beside whoever hears of all work of the host.
func withListener(ctx context.Context, l listener) context.Context {
	return context.WithValue(ctx, listenerKey{}, l)
}

// told reports how far one step of ctx's work is; nil where nobody listens.
func (h *Host) told(ctx context.Context, what string) func(done, total int) {
	tell := h.listens(ctx)
	if tell == nil {
		return nil
	}
	return func(done, total int) { tell(what, done, total) }
}

// listens is who hears of ctx's work; nil where nobody does.
func (h *Host) listens(ctx context.Context) listener {
	own, _ := ctx.Value(listenerKey{}).(listener)
	switch {
	case own == nil:
		return h.progress
	case h.progress == nil:
		return own
	}
	return func(what string, done, total int) {
		own(what, done, total)
		h.progress(what, done, total)
	}
}

// telling is the host's gate, with ctx's listener.
func (h *Host) telling(ctx context.Context) *gate.Gate {
	told := *h.gate
	told.Progress = h.listens(ctx)
	return &told
}
