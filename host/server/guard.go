package server

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
)

// recorder remembers what was answered, for the log and the metrics.
type recorder struct {
	http.ResponseWriter
	status int // 0: nothing written
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write gives the client writeTimeout to take this part: the answer as a whole may take as long as its tokens do.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_ = http.NewResponseController(r.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout))
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// serve is every request's way in and out: guards, route, error, log, metrics. A panic costs one request, not the process.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w}
	path := r.URL.Path
	if _, ok := s.routes[path]; !ok {
		path = "other"
	}
	defer func() {
		cause := recover()
		if cause != nil && cause != http.ErrAbortHandler {
			s.log.Error("handler panicked", "path", path, "cause", escape(fmt.Sprint(cause)), "stack", string(debug.Stack()))
		}
		begun := rec.status != 0
		if cause != nil && !begun {
			s.fail(rec, &apiError{status: http.StatusInternalServerError, message: "internal error; the server's log says more"})
		}
		took := time.Since(start)
		s.metrics.request(path, rec.status, took)
		s.log.Debug("request", "method", escape(r.Method), "path", escape(r.URL.Path), "status", rec.status, "took", took)
		if cause != nil && begun {
			panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
		}
	}()
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(start.Add(s.bodyTimeout)) // a connection that has none is a test's
	}
	header := rec.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if err := s.admit(rec, r); err != nil {
		s.fail(rec, err)
	}
}

// admit applies the guards and calls the route.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) error {
	if !s.hostAllowed(r.Host) {
		return refuse(http.StatusMisdirectedRequest, "", "host %s is not this server's: use its address or localhost", escape(r.Host))
	}
	if err := s.origins.Check(r); err != nil {
		return refuse(http.StatusForbidden, "", "%v", err)
	}
	route, ok := s.routes[r.URL.Path]
	if !ok {
		return &apiError{status: http.StatusNotFound, code: fault.IONotFound, message: "no such path: " + escape(r.URL.Path)}
	}
	if r.Method != route.method && !(r.Method == http.MethodHead && route.method == http.MethodGet) {
		w.Header().Set("Allow", route.method)
		return refuse(http.StatusMethodNotAllowed, "", "method %s is not allowed here: use %s", escape(r.Method), route.method)
	}
	if route.method == http.MethodPost {
		if err := jsonOnly(r.Header); err != nil {
			return err
		}
	}
	if route.slots != nil {
		select {
		case route.slots <- struct{}{}:
			defer func() { <-route.slots }()
		default:
			return &apiError{status: http.StatusTooManyRequests, code: fault.ServerDown, retry: true,
				message: fmt.Sprintf("%d requests of this kind are in flight already", cap(route.slots))}
		}
	}
	return route.handle(w, r)
}

// jsonOnly refuses bodies that are not plain JSON. A web page can send other types to a local server without asking it first.
func jsonOnly(header http.Header) error {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || kind != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return refuse(http.StatusUnsupportedMediaType, "", "want Content-Type: application/json")
	}
	if header.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, "", "a Content-Encoding is not supported")
	}
	return nil
}

// hostAllowed stops DNS rebinding: a web page whose name was made to mean 127.0.0.1 sends that name. An address cannot be rebound.
func (s *Server) hostAllowed(host string) bool {
	if !s.loopback || host == "" {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return strings.EqualFold(host, "localhost") || strings.EqualFold(host, s.host)
}
