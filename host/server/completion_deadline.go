package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// errDeadline is why a context ended when a request took longer than it may.
var errDeadline = errors.New("the request took longer than it may")

// deadline is a context that ends with the request's time: the server's --request-timeout, or the header Timeout, in seconds, where that is
// shorter.
func (s *Server) deadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	allowed := s.requestTimeout
	if header := r.Header.Get("Timeout"); header != "" {
		seconds, err := strconv.ParseFloat(header, 64)
		if err != nil || !(seconds > 0) || seconds > 1e6 {
			return nil, nil, refuse(http.StatusBadRequest, "Timeout", "the header Timeout is not a number of seconds: %s", escape(header))
		}
		if asked := time.Duration(seconds * float64(time.Second)); allowed == 0 || asked < allowed {
			allowed = asked
		}
	}
	if allowed == 0 {
		ctx, cancel := context.WithCancel(r.Context())
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), allowed, errDeadline)
	return ctx, cancel, nil
}

// late makes an error that came because the request's time is over say so, and one that came because its client left worth no word.
func late(ctx context.Context, err error) error {
	if _, gone := err.(clientGone); gone || err == nil {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return clientGone{err}
	}
	if !errors.Is(context.Cause(ctx), errDeadline) {
		return err
	}
	return &apiError{status: http.StatusGatewayTimeout, code: fault.Canceled, quiet: true, message: errDeadline.Error()}
}
