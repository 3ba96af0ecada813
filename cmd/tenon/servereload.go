package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// hangups hears SIGHUP.
func hangups() (heard <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	return signals, func() { signal.Stop(signals) }
}

// reloading is what is read anew on SIGHUP.
type reloading struct {
	host    *host.Host
	serving *host.Serving
	keys    *server.Keys // nil where there are none
	parts   []servePart
}

// reload reads anew what the server was given: the policy with its probes, the keys, and what its parts know of. What cannot be used stays as it
// was, each for itself, and is named. The list of revoked modules is read before each check anyway, a certificate when it changes.
func (c *command) reload(r *reloading) {
	c.again("policy", c.reloadPolicy(r.host, r.serving))
	if r.keys != nil {
		c.again("keys", r.keys.Reload())
	}
	for _, part := range r.parts {
		if err := part.reload(); err != nil {
			c.again("rest of the configuration", err)
		}
	}
}

// again says how reading something anew went.
func (c *command) again(what string, err error) {
	if err != nil {
		fmt.Fprintf(c.stderr, "tenon: SIGHUP: the %s: nothing has changed: %s\n", what, report.Escape(err.Error()))
	} else if !c.quiet {
		fmt.Fprintf(c.stderr, "tenon: SIGHUP: the %s: read again\n", what)
	}
}

func (c *command) reloadPolicy(h *host.Host, serving *host.Serving) (err error) {
	policy, builtin := gate.Builtin(c.policy)
	if !builtin {
		if policy, err = gate.LoadPolicy(c.policy); err != nil {
			return err
		}
	}
	var asked *probe.File
	if c.probe != "" {
		if asked, err = probe.Load(c.probe); err != nil {
			return err
		}
	}
	if h, err = h.WithPolicy(policy, asked); err != nil {
		return err
	}
	return serving.JudgeWith(h)
}
