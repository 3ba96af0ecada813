package server

import (
	"net/http"

	"github.com/tenon-ml/tenon/host/fault"
)

// stream answers with server-sent events: a chunk whenever there is new text, a last one with the finish reason, then the usage if it was
// asked for, then [DONE]. When the backend fails, the last event is an error and [DONE] does not come.
func (s *Server) stream(w http.ResponseWriter, c *completion, r *run, object completionObject) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush() // the client learns its generation before the first token
	send := func(data []byte) error {
		line := append(append([]byte("data: "), data...), '\n', '\n')
		if _, err := w.Write(line); err != nil {
			return clientGone{err}
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return clientGone{err}
		}
		return nil
	}
	sendJSON := func(value any) error {
		data, err := marshal(value)
		if err != nil {
			return err
		}
		return send(data)
	}
	chunk := func(last bool) error {
		text, logs := r.text.take(last)
		if !last && text == "" && (logs == nil || len(logs.Tokens) == 0) {
			return nil
		}
		next := choice{Text: text, Logprobs: logs}
		if last {
			next.FinishReason = &r.reason
		}
		object.Choices = []choice{next}
		return sendJSON(object)
	}
	err := r.to(func() error { return chunk(false) })
	if err == nil {
		err = chunk(true)
	}
	if err == nil && c.usage {
		object.Choices, object.Usage = []choice{}, r.usage(c)
		err = sendJSON(object)
	}
	if err == nil {
		err = send([]byte("[DONE]"))
	}
	if err == nil {
		return
	}
	if _, gone := err.(clientGone); gone {
		return
	}
	e := toAPI(err)
	if e.code == "" {
		e.code = fault.BackendDown
	}
	s.log.Error("stream failed", "model", c.model.ID, "generation", r.generation, "cause", escape(e.message))
	_ = sendJSON(e.body()) // nothing is left to tell a client that is gone
}

// clientGone is a failure to write: nobody is there to be told about it.
type clientGone struct{ error }
