package backend

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestFloodIsCapped(t *testing.T) {
	var log bytes.Buffer
	s := start(t, self("flood"), Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	s.Stop(t.Context()) // everything was read when it returns
	if log.Len() == 0 || log.Len() > 4*budgetBytes {
		t.Errorf("%d bytes were logged of a flood of 3.5 MB", log.Len())
	}
}

func TestOutput(t *testing.T) {
	t.Run("tail is the end, on one line", func(t *testing.T) {
		o := newOutput(slog.New(slog.DiscardHandler), "x")
		for range 1000 {
			_, _ = o.Write([]byte("noise\n"))
		}
		_, _ = o.Write([]byte("first\nlast\x1b[0m\n"))
		if tail := o.tail(); !strings.HasSuffix(tail, "noise | first | last.[0m") || len(tail) > 3*tailBytes {
			t.Errorf("tail %q", tail)
		}
	})
	t.Run("what is dropped is told once", func(t *testing.T) {
		o := newOutput(slog.New(slog.DiscardHandler), "x")
		now := time.Unix(1000, 0)
		for i, step := range []struct {
			bytes   int
			after   time.Duration
			ok      bool
			dropped int
		}{
			{budgetBytes - 1, 0, true, 0}, {2, 0, false, 0}, {1, 0, true, 0}, {1, 0, false, 0},
			{1, budgetWindow + 1, true, 2}, {1, 0, true, 0},
		} {
			now = now.Add(step.after)
			if ok, dropped := o.spend(step.bytes, now); ok != step.ok || dropped != step.dropped {
				t.Errorf("step %d: %v and %d dropped, want %v and %d", i, ok, dropped, step.ok, step.dropped)
			}
		}
	})
	t.Run("levels", func(t *testing.T) {
		var log bytes.Buffer
		o := newOutput(slog.New(slog.NewTextHandler(&log, nil)), "x")
		o.Accept("x", hclog.Error, "about the process")
		o.Accept("x."+outputName, hclog.Debug, "chatter")
		o.Accept("x."+outputName, hclog.Warn, "of the process", "key", "value")
		if text := log.String(); strings.Contains(text, "about") || strings.Contains(text, "chatter") ||
			!strings.Contains(text, "level=WARN") || !strings.Contains(text, "value") {
			t.Errorf("log %s", text)
		}
	})
}
