package server

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// events answers GET /api/v1/events: what happens from now on, or after the event that the client saw last. A client that reads too slowly is
// told that it missed some; one that does not read at all is cut off.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	after := s.engine.Feed().Last()
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text != "" {
		var err error
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			return refuse(http.StatusBadRequest, "after", "%s is not the ID of an event", escape(text))
		}
	}
	view := s.view(r.Context())
	events := s.engine.Feed().Subscribe(r.Context(), after)
	w.Header().Set("Content-Type", eventType)
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	controller := http.NewResponseController(w)
	send := func(text []byte) bool {
		if _, err := w.Write(text); err != nil {
			return false
		}
		return controller.Flush() == nil
	}
	if !send([]byte(": events follow\n\n")) {
		return nil
	}
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-s.closing:
			return nil
		case <-beat.C:
			if !view.who.current(s.keys, time.Now()) || !send([]byte(": \n\n")) {
				return nil
			}
		case e, ok := <-events:
			if !ok {
				return nil
			}
			if e, ok = view.Event(e); !ok {
				continue
			}
			e.Message = visible(e.Message)
			data, err := marshal(e)
			if err != nil {
				s.log.ErrorContext(r.Context(), "an event cannot be written", "kind", plain(string(e.Kind)), "cause", plain(err.Error()))
				continue
			}
			var message bytes.Buffer
			fmt.Fprintf(&message, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, data)
			if !send(message.Bytes()) {
				return nil
			}
		}
	}
}
