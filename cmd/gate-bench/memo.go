package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// memo runs each module once on an adapter, however many times it is judged: the arms of a trial differ in what the rules see of a probe,
// and no built-in module reads that. It is for one trial.
type memo struct {
	runner gate.Runner
	mu     sync.Mutex
	known  map[string]*remembered
}

var _ gate.Runner = (*memo)(nil)

// remembered is one run, begun by whoever came first.
type remembered struct {
	once        sync.Once
	result      sandbox.Result
	confinement string
}

func newMemo(runner gate.Runner) *memo { return &memo{runner: runner, known: map[string]*remembered{}} }

// Run runs a job, or gives what it gave before.
func (m *memo) Run(ctx context.Context, job worker.Job) (sandbox.Result, string) {
	var key strings.Builder
	fmt.Fprintf(&key, "%s %x %s %s", job.Manifest.ID, job.SHA256, job.Input.Attrs["adapter.digest"], job.Input.Attrs["base.digest"])
	for _, p := range job.Input.Peers {
		fmt.Fprintf(&key, " %s", p.Name)
	}
	m.mu.Lock()
	r := m.known[key.String()]
	if r == nil {
		r = &remembered{}
		m.known[key.String()] = r
	}
	m.mu.Unlock()
	r.once.Do(func() { r.result, r.confinement = m.runner.Run(ctx, job) })
	return r.result, r.confinement
}
