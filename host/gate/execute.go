package gate

import (
	"context"
	"fmt"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// execute runs a module, twice where the gate is asked to. What may not run, or may not go on, is refused.
func (g *Gate) execute(ctx context.Context, r *run, in *input, w *warden) {
	ctx, release := w.admit(ctx, r)
	defer release()
	job := r.job(in)
	if r.refused = excess(r.module.Manifest.Limits, job.Limits, r.requirement.snake); r.refused != nil {
		return
	}
	r.result, r.confinement, r.times = sandbox.Result{}, "", 0
	if stopped(ctx) == nil {
		r.result, r.confinement = g.Runner.Run(ctx, job)
		r.times = 1
	}
	if g.Twice && r.result.Status == sandbox.OK && stopped(ctx) == nil {
		again, confinement := g.Runner.Run(ctx, job)
		r.times = 2
		r.result = agreed(r.result, again)
		if confinement != worker.Full {
			r.confinement = confinement
		}
	}
	r.refused = stopped(ctx)
}

// refuse makes the result of a run that it may not have one. What it cost stays.
func (r *run) refuse() {
	if r.refused != nil {
		r.result = sandbox.Result{Status: r.refused.status, Error: r.refused.text, Usage: r.result.Usage}
	}
}

// excess refuses a module that says it needs more than the run would get: it would be stopped at a limit, after the time that takes. snake says
// how the policy writes limits.
func excess(asked, got abi.Limits, snake bool) *refusal {
	var wants, raise []string
	for _, l := range []struct {
		key        string
		asked, got int64
	}{
		{"guestMemory", asked.GuestMemory, got.GuestMemory},
		{"hostTensors", asked.HostTensors, got.HostTensors},
		{"metrics", int64(asked.Metrics), int64(got.Metrics)},
		{"gridValues", int64(asked.GridValues), int64(got.GridValues)},
		{"findings", int64(asked.Findings), int64(got.Findings)},
		{"logBytes", int64(asked.LogBytes), int64(got.LogBytes)},
		{"hostCalls", asked.HostCalls, got.HostCalls},
		{"runMs", asked.RunMillis, got.RunMillis},
		{"compileMs", asked.CompileMillis, got.CompileMillis},
	} {
		if l.asked > l.got {
			wants = append(wants, fmt.Sprintf("%s %d and gets %d", snakeCase(l.key), l.asked, l.got))
			raise = append(raise, fmt.Sprintf("%s: %d", spelled(l.key, snake), l.asked))
		}
	}
	if wants == nil {
		return nil
	}
	return &refusal{status: sandbox.Denied, code: fault.ModuleFailed, text: "its manifest asks for " + strings.Join(wants, ", "),
		remedy: "take the module out, or grant it in the policy: limits: {" + strings.Join(raise, ", ") + "}"}
}

// spelled is the name of a limit as the policy writes it.
func spelled(key string, snake bool) string {
	if snake {
		return snakeCase(key)
	}
	return key
}
