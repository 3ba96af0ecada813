package ui

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// heartbeat is how often a silent stream of events shows that it lives.
const heartbeat = 15 * time.Second

// events streams what happens to the adapters that a visitor may see, from after the last event his browser had, until he goes or the server stops.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, _ server.Principal) error {
	feed, view := h.front.Feed(), h.front.View(r.Context())
	after := feed.Last()
	if last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		after = last
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	_ = control.Flush()
	ticks := time.NewTicker(heartbeat)
	defer ticks.Stop()
	happened := feed.Subscribe(r.Context(), after)
	for {
		var err error
		select {
		case <-r.Context().Done():
			return nil
		case <-ticks.C:
			if !h.front.Still(r) {
				return nil // the key was revoked meanwhile
			}
			_, err = fmt.Fprint(w, ": still here\n\n")
		case event, open := <-happened:
			if !open {
				return nil
			}
			if event, open = view.Event(event); !open {
				continue
			}
			for _, foreign := range []*string{&event.Ref, &event.Step, &event.Message, &event.Actor} {
				*foreign = report.Escape(*foreign)
			}
			var data []byte
			if data, err = json.Marshal(event); err == nil {
				_, err = fmt.Fprintf(w, "id: %d\ndata: %s\n\n", event.ID, data)
			}
		}
		if err == nil {
			err = control.Flush()
		}
		if err != nil {
			return nil // the browser is gone
		}
	}
}
