package server

import (
	"context"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/telemetry"
)

// recorder remembers what was answered, for the log and the metrics.
type recorder struct {
	http.ResponseWriter
	status  int // 0: nothing written
	timeout time.Duration
	ctx     context.Context // of the request, for the log; it knows who asks once that is known
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write gives the client some time to take this part: the answer as a whole may take as long as its tokens do.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_ = http.NewResponseController(r.ResponseWriter).SetWriteDeadline(time.Now().Add(r.timeout))
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// by is a request with who sent it.
func (r *recorder) by(request *http.Request, who Principal) *http.Request {
	r.ctx = WithPrincipal(request.Context(), who)
	return request.WithContext(r.ctx)
}

// pattern is what a request asks for, as the metrics, the log and the traces name it: one of few.
func (s *Server) pattern(r *http.Request) string {
	if found, _ := s.match(r.Method, r.URL.EscapedPath()); found != nil {
		return found.path
	}
	if s.ui != nil && isUI(r) {
		return "/ui"
	}
	return "other"
}

// isUI tells that a request is for the dashboard.
func isUI(r *http.Request) bool { return r.URL.Path == "/ui" || strings.HasPrefix(r.URL.Path, "/ui/") }

// serve is every request's way in and out: guards, route, error, log, metrics. A panic costs one request, not the process.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	path := s.pattern(r)
	r, end := telemetry.Request(r, path)
	rec := &recorder{ResponseWriter: w, timeout: s.writeTimeout, ctx: r.Context()}
	defer func() { end(rec.status) }()
	defer func() {
		cause := recover()
		if cause != nil && cause != http.ErrAbortHandler {
			s.log.ErrorContext(rec.ctx, "handler panicked", "path", path, "cause", plain(fmt.Sprint(cause)), "stack", string(debug.Stack()))
		}
		begun := rec.status != 0
		if cause != nil && !begun {
			s.fail(rec.ctx, rec, &apiError{status: http.StatusInternalServerError, message: "internal error; the server's log says more"})
		}
		took := time.Since(start)
		s.metrics.request(path, rec.status, took)
		s.log.DebugContext(rec.ctx, "request", "method", plain(r.Method), "path", plain(r.URL.Path), "status", rec.status, "took", took,
			"generation", rec.Header().Get("X-Tenon-Generation"))
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
		s.fail(rec.ctx, rec, err)
	}
}

// admit applies the guards and calls the route.
func (s *Server) admit(w *recorder, r *http.Request) error {
	if !s.hostAllowed(r.Host) {
		return refuse(http.StatusMisdirectedRequest, "", "host %s is not this server's: use its address or localhost", escape(r.Host))
	}
	if err := s.origins.Check(r); err != nil {
		return refuse(http.StatusForbidden, "", "%v", err)
	}
	if s.ui != nil && isUI(r) {
		return s.serveUI(w, r)
	}
	route, values := s.match(r.Method, r.URL.EscapedPath())
	if route == nil {
		return &apiError{status: http.StatusNotFound, code: fault.IONotFound, message: "no such path: " + escape(r.URL.Path)}
	}
	for name, value := range values {
		r.SetPathValue(name, value)
	}
	who := Principal{Name: "nobody"}
	if !route.open {
		var err error
		if who, err = s.authenticate(r); err != nil {
			return err
		}
	}
	r = w.by(r, who)
	if allowed := s.methods(route.path); !slices.Contains(allowed, r.Method) && !(r.Method == http.MethodHead && slices.Contains(allowed, http.MethodGet)) {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return refuse(http.StatusMethodNotAllowed, "", "method %s is not allowed here: use %s", escape(r.Method), strings.Join(allowed, " or "))
	}
	if !route.open {
		if err := authorize(who, route); err != nil {
			return err
		}
	}
	leave, err := s.enter(who, route)
	if err != nil {
		return err
	}
	defer leave()
	if route.method == http.MethodPost {
		if err := jsonOnly(r.Header); err != nil {
			return err
		}
		body, err := s.limitBody(w, r)
		if err != nil {
			return err
		}
		defer body.release()
		r.Body = body
	}
	return route.handle(w, r)
}

// enter counts a request against the bounds of its kind and of its key; leave is called when it ends.
func (s *Server) enter(who Principal, rt *route) (leave func(), err error) {
	leaveKey := func() {}
	if who.key != nil {
		ok := false
		if leaveKey, ok = who.key.enter(); !ok {
			return nil, tooMany("%d requests of this API key are in flight already", who.key.requests)
		}
	}
	if rt.slots == nil {
		return leaveKey, nil
	}
	select {
	case rt.slots <- struct{}{}:
		return func() { <-rt.slots; leaveKey() }, nil
	default:
		leaveKey()
		return nil, tooMany("%d requests of this kind are in flight already", cap(rt.slots))
	}
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
