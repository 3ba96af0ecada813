package cpu

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// inOrder runs work(0) to work(n-1) on at most workers goroutines, and done(i) on the caller's as soon as work(0) to work(i) have returned: what a
// client sees does not depend on which worker was faster. The first error ends it; every goroutine has returned by then.
func inOrder(ctx context.Context, n, workers int, work func(context.Context, int) error, done func(int) error) error {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers + 1) // the extra one deals
	finished := make([]chan struct{}, n)
	for i := range finished {
		finished[i] = make(chan struct{})
	}
	group.Go(func() error {
		for i := range n {
			if err := canceled(ctx); err != nil {
				return err
			}
			group.Go(func() error {
				if err := work(ctx, i); err != nil {
					return err
				}
				close(finished[i])
				return nil
			})
		}
		return nil
	})
	for i := range n {
		select {
		case <-finished[i]:
			if err := done(i); err != nil {
				cancel()
				_ = group.Wait()
				return err
			}
		case <-ctx.Done():
			if err := group.Wait(); err != nil {
				return err // the one that came first
			}
			return canceled(caller)
		}
	}
	return group.Wait()
}
