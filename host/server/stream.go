package server

import (
	"context"
	"net/http"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
)

// events writes server-sent events, one at a time.
type events struct {
	mu sync.Mutex
	w  http.ResponseWriter
}

func (e *events) data(data []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	line := append(append([]byte("data: "), data...), '\n', '\n')
	if _, err := e.w.Write(line); err != nil {
		return clientGone{err}
	}
	if err := http.NewResponseController(e.w).Flush(); err != nil {
		return clientGone{err}
	}
	return nil
}

// json sends a value; nil is nothing.
func (e *events) json(value any) error {
	if value == nil {
		return nil
	}
	data, err := marshal(value)
	if err != nil {
		return err
	}
	return e.data(data)
}

// stream answers with server-sent events: a chunk whenever there is new text, a last one of each text with the finish reason, then the usage if
// it was asked for, then [DONE]. When the backend fails, the last event is an error and [DONE] does not come.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, c *completion, runs []*run, texts shape, stop context.CancelFunc) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // the client learns its generation before the first token
	out := &events{w: w}
	var err error
	for _, r := range runs {
		if err == nil {
			err = out.json(texts.begin(r))
		}
	}
	if err == nil {
		err = each(len(runs), func(i int) error {
			err := runs[i].to(func() error { return out.json(texts.chunk(runs[i], false)) })
			if err == nil {
				err = out.json(texts.chunk(runs[i], true))
			}
			if err != nil {
				stop()
			}
			return err
		})
	}
	if err == nil && c.usage {
		err = out.json(texts.total(runs))
	}
	if err == nil {
		err = out.data([]byte("[DONE]"))
	}
	if err == nil {
		return
	}
	err = late(ctx, err)
	if _, gone := err.(clientGone); gone {
		return
	}
	e := toAPI(err)
	if e.code == "" {
		e.code = fault.BackendDown
	}
	if !e.quiet {
		s.log.ErrorContext(ctx, "stream failed", "model", c.model.ID, "generation", runs[0].generation, "cause", plain(e.message))
	}
	_ = out.json(e.body()) // nothing is left to tell a client that is gone
}

// clientGone is a failure to write: nobody is there to be told about it.
type clientGone struct{ error }
