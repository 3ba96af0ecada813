// Package server is the HTTP front of Tenon: vLLM's routes for adapters and OpenAI's for completions, so that existing clients work
// unchanged, and Tenon's own under /api/v1. It knows HTTP and text; what it serves is behind Engine.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Limits of what one client can hold.
const (
	maxBodyBytes   = 1 << 20
	maxHeaderBytes = 64 << 10
	headerTimeout  = 10 * time.Second // to send the header
	bodyTimeout    = 30 * time.Second // to send the body
	writeTimeout   = 30 * time.Second // to take one chunk of the answer
	idleTimeout    = 2 * time.Minute
	maxLoads       = 16 // loads, unloads and rollbacks at once
)

// Options of New. Log, BaseName and Addr are required.
type Options struct {
	Log         *slog.Logger
	BaseName    string // the base's model name; no alias may take it
	Addr        string // "host:port" that is listened on: it decides which Host headers are answered
	Version     string
	MaxRequests int // completions at once, queued ones included; 0 means 256
}

// Server answers HTTP for one Engine.
type Server struct {
	engine   Engine
	log      *slog.Logger
	base     string
	version  string
	host     string // of Addr
	loopback bool   // Addr is a loopback address: only local names may be in a Host header
	origins  *http.CrossOriginProtection
	routes   map[string]route
	metrics  *metrics
	traffic  *traffic
	slots    chan struct{} // completions
	loads    chan struct{}
	http     *http.Server

	bodyTimeout time.Duration
}

// New returns a Server that does not listen yet.
func New(engine Engine, opts Options) *Server {
	if opts.MaxRequests == 0 {
		opts.MaxRequests = 256
	}
	host, _, err := net.SplitHostPort(opts.Addr)
	if err != nil {
		host = opts.Addr
	}
	ip, err := netip.ParseAddr(host)
	s := &Server{
		engine: engine, log: opts.Log, base: opts.BaseName, version: opts.Version,
		host: host, loopback: err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost"),
		origins: http.NewCrossOriginProtection(),
		traffic: newTraffic(),
		slots:   make(chan struct{}, opts.MaxRequests),
		loads:   make(chan struct{}, maxLoads),

		bodyTimeout: bodyTimeout,
	}
	s.metrics = newMetrics(engine, s.traffic)
	s.routes = s.table()
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(opts.Log.Handler(), slog.LevelWarn),
	}
	return s
}

// route is one path. Its handler returns an error only before it has written anything.
type route struct {
	method string
	handle func(http.ResponseWriter, *http.Request) error
	slots  chan struct{} // nil: not limited
}

func (s *Server) table() map[string]route {
	get := func(h func(http.ResponseWriter, *http.Request) error) route {
		return route{method: http.MethodGet, handle: h}
	}
	post := func(slots chan struct{}, h func(http.ResponseWriter, *http.Request) error) route {
		return route{method: http.MethodPost, handle: h, slots: slots}
	}
	return map[string]route{
		"/v1/load_lora_adapter":   post(s.loads, s.load),
		"/v1/unload_lora_adapter": post(s.loads, s.unload),
		"/v1/models":              get(s.models),
		"/v1/completions":         post(s.slots, s.completions),
		"/v1/chat/completions":    post(nil, s.chat),
		"/health":                 get(s.ready),
		"/readyz":                 get(s.ready),
		"/livez":                  get(s.live),
		"/metrics":                get(s.metrics.serve),
		"/api/v1/adapters":        get(s.adapters),
		"/api/v1/rollback":        post(s.loads, s.rollback),
		"/api/v1/report":          get(s.report),
		"/api/v1/version":         get(s.showVersion),
	}
}

// Handler returns the whole front, for a server of one's own.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Serve accepts connections on ln until Shutdown, and then returns nil.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting and waits for the requests in flight. Those that are not done when ctx ends are cut off, and its error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	return err
}
