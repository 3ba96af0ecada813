package backend

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	outputName   = "output" // logger of the process's own lines
	tailBytes    = 2 << 10  // of output kept for error messages
	lineBytes    = 4 << 10  // of one line that are logged
	budgetBytes  = 256 << 10
	budgetWindow = 10 * time.Second
)

// output takes what a process prints: it keeps the end for error messages, and logs lines as long as the process is not flooding. go-plugin's own
// messages are logged at debug.
type output struct {
	log  *slog.Logger
	name string

	mu      sync.Mutex
	last    []byte // up to twice tailBytes
	left    int    // of budgetBytes, until until
	until   time.Time
	dropped int
}

func newOutput(log *slog.Logger, name string) *output {
	return &output{log: log.With("backend", name), name: name}
}

// logger is what go-plugin logs to.
func (o *output) logger() hclog.Logger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: o.name, Level: hclog.Debug, Output: io.Discard})
	logger.RegisterSink(o)
	return logger
}

// Write keeps the end of what the process prints.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = append(o.last, p[max(0, len(p)-tailBytes):]...)
	if len(o.last) > 2*tailBytes {
		o.last = append(o.last[:0], o.last[len(o.last)-tailBytes:]...)
	}
	return len(p), nil
}

// tail is the end of what was printed on one line, "" when nothing was.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := strings.TrimSpace(string(o.last[max(0, len(o.last)-tailBytes):]))
	text = strings.ReplaceAll(text, "\n", " | ")
	return printable(text, len(text))
}

// Accept logs one line: the process's own at its level, go-plugin's about it at debug.
func (o *output) Accept(name string, level hclog.Level, message string, args ...any) {
	to := slog.LevelDebug
	if strings.HasSuffix(name, "."+outputName) {
		switch level {
		case hclog.Info:
			to = slog.LevelInfo
		case hclog.Warn:
			to = slog.LevelWarn
		case hclog.Error:
			to = slog.LevelError
		}
	}
	if !o.log.Enabled(context.Background(), to) {
		return
	}
	message = printable(message, lineBytes)
	fields := ""
	if len(args) > 0 {
		fields = printable(fmt.Sprint(args...), lineBytes)
	}
	ok, dropped := o.spend(len(message)+len(fields), time.Now())
	if dropped > 0 {
		o.log.Warn("backend printed too much", "dropped lines", dropped)
	}
	if ok && fields != "" {
		o.log.Log(context.Background(), to, message, "fields", fields)
	} else if ok {
		o.log.Log(context.Background(), to, message)
	}
}

// spend takes n bytes from the budget. Where there are not enough the line is dropped; how many were is told once, in the next window.
func (o *output) spend(n int, now time.Time) (ok bool, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.After(o.until) {
		o.left, o.until = budgetBytes, now.Add(budgetWindow)
		dropped, o.dropped = o.dropped, 0
	}
	if n > o.left {
		o.dropped++
		return false, dropped
	}
	o.left -= n
	return true, dropped
}

var _ hclog.SinkAdapter = (*output)(nil)
