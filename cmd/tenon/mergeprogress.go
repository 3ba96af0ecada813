package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/merge"
)

// redraw is the least time between two looks of the line.
const redraw = 250 * time.Millisecond

// mergeProgress shows how far a merge to disk is, in one line of a terminal: bytes, share, rate and the time that is left.
type mergeProgress struct {
	w io.Writer

	mu      sync.Mutex
	started time.Time // of the first event
	first   int64     // what was done by then: an earlier run's, which tells nothing about the rate
	drawn   time.Time
	shown   bool
}

// newMergeProgress gives nil where nobody is watching. The line is taken away by clear.
func (c *command) newMergeProgress() (show func(merge.Progress), clear func()) {
	f := c.watched()
	if f == nil {
		return nil, func() {}
	}
	p := &mergeProgress{w: f}
	return func(now merge.Progress) { p.show(now, time.Now()) }, p.clear
}

func (p *mergeProgress) show(now merge.Progress, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started.IsZero() {
		p.started, p.first = at, now.Done
	}
	if at.Sub(p.started) < patience || at.Sub(p.drawn) < redraw {
		return
	}
	p.drawn, p.shown = at, true
	fmt.Fprintf(p.w, "\r\x1b[K%s", progressLine(now, p.first, at.Sub(p.started)))
}

func (p *mergeProgress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.shown, p.drawn = false, time.Now().Add(time.Hour) // whoever is late draws nothing
}

// progressLine is the line, of less than 80 columns, when first of the bytes were done before it began.
func progressLine(now merge.Progress, first int64, elapsed time.Duration) string {
	line := fmt.Sprintf("merging: %s of %s", formatSize(now.Done), formatSize(now.Total))
	if now.Total > 0 {
		line += fmt.Sprintf(", %d %%", 100*now.Done/now.Total)
	}
	rate := float64(now.Done-first) / elapsed.Seconds()
	if rate < 1 {
		return line
	}
	left := time.Duration(float64(now.Total-now.Done) / rate * float64(time.Second)).Round(time.Second)
	return line + fmt.Sprintf(", %s/s, %v left", formatSize(int64(rate)), left)
}
