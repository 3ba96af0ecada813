package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// patience is how long a step may take before a person is told what is going on.
const patience = time.Second

// progress shows slow steps in one line of a terminal on stderr, and nothing anywhere else.
type progress struct {
	mu      sync.Mutex
	started time.Time
	shown   bool
	last    int // of this step; a goroutine that was overtaken shows nothing
}

// watched is the terminal somebody may be watching, or nil.
func (c *command) watched() *os.File {
	f, ok := c.stderr.(*os.File)
	if _, ci := os.LookupEnv("CI"); !ok || ci || c.quiet || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}

// newProgress gives nil where nobody is watching.
func (c *command) newProgress() func(what string, done, total int) {
	f := c.watched()
	if f == nil {
		return nil
	}
	p := &progress{started: time.Now()}
	return func(what string, done, total int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if done < p.last {
			return
		}
		p.last = done
		if time.Since(p.started) > patience && done < total {
			fmt.Fprintf(f, "\r\x1b[K%s: %d of %d", what, done, total)
			p.shown = true
		}
		if done == total {
			if p.shown {
				fmt.Fprint(f, "\r\x1b[K")
			}
			p.shown, p.last, p.started = false, 0, time.Now()
		}
	}
}
