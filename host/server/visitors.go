package server

import (
	"errors"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// Limits of the dashboard's visitors.
const (
	maxForm         = 256 << 10 // bytes of a form of somebody who has signed in
	maxStrangerForm = 4 << 10   // of anybody else's
	maxStrangers    = 64        // requests at once of those who have not signed in
	maxStrange      = 16        // of them from one client
)

// serveUI hands a request to the dashboard. It comes without a header that a script would have to set, so who is nobody may pass: what is shown
// to him is for the dashboard to decide. A form is read before anything but its key's own bound is taken, so that one that trickles in is in
// nobody's way.
func (s *Server) serveUI(w *recorder, r *http.Request) error {
	who, err := s.visitor(r)
	if err != nil {
		return err
	}
	r = w.by(r, who)
	stranger := who.Name == ""
	leaveKey, err := s.enter(who, &route{})
	if err != nil {
		return err
	}
	defer leaveKey()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		most := int64(maxForm)
		if stranger {
			most = maxStrangerForm
		}
		if err := s.readForm(w, r, most); err != nil {
			return err
		}
	}
	if stranger {
		leave, ok := s.strangers.enter(ClientOf(r))
		if !ok {
			return tooMany("too many requests without an API key are in flight already")
		}
		defer leave()
	} else {
		leave, err := s.enter(Principal{}, &route{slots: s.uiSlots(r)})
		if err != nil {
			return err
		}
		defer leave()
	}
	if r.URL.Path == uiEvents {
		ctx, done := s.untilClosing(r.Context())
		defer done()
		r = r.WithContext(ctx)
	}
	s.ui.ServeHTTP(w, r)
	return nil
}

// visitor is who sent a request for the dashboard: nobody, where he has not signed in.
func (s *Server) visitor(r *http.Request) (Principal, error) {
	if s.keys == nil || r.Header.Get("Authorization") != "" {
		return s.authenticate(r)
	}
	who, ok := s.ui.Who(r)
	if !ok {
		return Principal{}, nil
	}
	return who, nil
}

// Paths of the dashboard that are bounded in their own way.
const (
	uiEvents   = "/ui/events"
	uiComplete = "/ui/complete"
	uiSignIn   = "/ui/signin"
	uiSignOut  = "/ui/signout"
)

// uiSlots is what a request of the dashboard's counts against beside its key: what the same request of the API does.
func (s *Server) uiSlots(r *http.Request) chan struct{} {
	switch path := r.URL.Path; {
	case path == uiEvents:
		return s.feeds
	case path == uiComplete:
		return nil // the queue bounds it
	case r.Method == http.MethodPost && path != uiSignIn && path != uiSignOut:
		return s.loads
	}
	return s.reads
}

// readForm reads a form as a whole, and leaves an empty body.
func (s *Server) readForm(w http.ResponseWriter, r *http.Request, most int64) error {
	if r.ContentLength > most {
		w.Header().Set("Connection", "close") // what the client still sends is nothing to wait for
		return refuse(http.StatusRequestEntityTooLarge, "", "%s", tooLong(most))
	}
	body := &limitedBody{ReadCloser: http.MaxBytesReader(w, r.Body, most), server: s}
	defer body.release()
	r.Body = body
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	var own *apiError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "", "%s", tooLong(most))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "", "the form did not come in time")
	case err != nil:
		return &apiError{status: http.StatusBadRequest, code: fault.UsageFlag, message: "the form cannot be read"}
	}
	r.Body = http.NoBody
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // serve's deadline was the form's: the answer may take longer
	return nil
}

// ClientOf names the network that a request comes from: its address, or the /64 of an IPv6 address, which is one client's as a whole.
func ClientOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	address := at.Addr().Unmap()
	if address.Is6() {
		if network, err := address.WithZone("").Prefix(64); err == nil {
			return network.String()
		}
	}
	return address.String()
}

// strangers counts the requests of those who have not signed in, over all and by client.
type strangers struct {
	mu      sync.Mutex
	held    int
	clients map[string]int
}

// enter takes room for a request; the caller calls leave once. It reports false, and takes nothing, where there is none.
func (s *strangers) enter(client string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held >= maxStrangers || s.clients[client] >= maxStrange {
		return nil, false
	}
	s.held++
	s.clients[client]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held--
		if s.clients[client]--; s.clients[client] == 0 {
			delete(s.clients, client)
		}
	}, true
}
