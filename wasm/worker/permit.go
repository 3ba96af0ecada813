package worker

import (
	"context"
	"runtime"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// permit is what a run waits for before it starts a worker.
type permit struct {
	release   func() // gives the slot and the memory back; to be called
	published func() // gives the turn to compile back, where the run has it; to be called, once or more often
	cached    bool   // the cache can be used
	loads     bool   // the module from entry, which is then to be released; where it is cached and not loaded, the run has the turn
	entry     entry
}

// permit waits until the run may compile the module, where the cache does not have it, and then for a slot and memory. Nobody waits for a
// turn with a slot in hand: the runs of one module would keep all others out, and who has the turn might wait for them. It fails when ctx
// ends.
func (r *Runner) permit(ctx context.Context, job Job) (permit, error) {
	p := permit{published: func() {}, cached: r.CacheDir != "" && CheckCache(r.CacheDir) == nil}
	compiles := p.cached && !known(r.CacheDir, job.SHA256)
	for again := false; ; again = true {
		var err error
		if compiles {
			if p.published, err = r.compiling.acquire(ctx, job.SHA256); err != nil {
				return permit{}, err
			}
			if !again && known(r.CacheDir, job.SHA256) { // whoever had the turn has compiled it
				p.published()
				compiles = false
			}
		}
		if p.release, err = r.admit(ctx, job.Limits); err != nil {
			p.published()
			return permit{}, err
		}
		if !p.cached {
			return p, nil
		}
		if p.entry, p.loads = warm(r.CacheDir, job.SHA256); p.loads {
			p.published()
			return p, nil
		}
		if compiles {
			return p, nil
		}
		p.release() // what the cache had is not whole or gone: the turn comes first
		compiles = true
	}
}

// admit waits until there is a slot and memory for a run.
func (r *Runner) admit(ctx context.Context, limits abi.Limits) (release func(), err error) {
	r.once.Do(func() {
		r.queue.slots, r.queue.budget = r.Parallel, r.Memory
		if r.Parallel <= 0 {
			r.queue.slots = runtime.NumCPU()
		}
		if r.Memory <= 0 {
			r.queue.budget = halfOfMemory()
		}
		r.queue.budget -= min(r.queue.budget/4, spareBytes*int64(max(0, r.Spares)))
	})
	return r.queue.acquire(ctx, footprint(limits))
}
