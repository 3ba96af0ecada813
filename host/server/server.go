// Package server is the HTTP front of Tenon: vLLM's routes for adapters and OpenAI's for completions, so that existing clients work
// unchanged, and Tenon's own under /api/v1. It knows HTTP and text; what it serves is behind Engine.
package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/host/chat"
)

// Limits of what one client can hold.
const (
	maxBodyBytes   = 1 << 20
	maxHeaderBytes = 64 << 10
	headerTimeout  = 10 * time.Second // to send the header
	bodyTimeout    = 30 * time.Second // to send the body
	writeTimeout   = 30 * time.Second // to take one chunk of the answer
	idleTimeout    = 2 * time.Minute
	heartbeat      = 15 * time.Second // between comments on a feed where nothing happens
	maxLoads       = 16               // loads, unloads and rollbacks at once
	maxReads       = 256              // requests at once that change nothing and generate nothing
	maxFeeds       = 64               // listeners to events at once
	maxBodies      = 64 << 20         // bytes of bodies at once that are being read or parsed
)

// Options of New. Log, BaseName and Addr are required.
type Options struct {
	Log            *slog.Logger // New has it say who asks
	BaseName       string       // the base's model name; no alias may take it
	Addr           string       // "host:port" that is listened on: it decides which Host headers are answered
	Version        string
	MaxRequests    int            // texts at once, queued ones included; 0 means 256
	MaxPerModel    int            // of them of one model; 0 means all
	RequestTimeout time.Duration  // of one completion; 0 means none
	ChatTemplate   *chat.Template // nil: chats are refused
	Keys           *Keys          // nil: whoever reaches the server may do everything
	MetricsOpen    bool           // GET /metrics needs no key
	Certificate    *Certificate   // nil: no TLS
	// Tally is what counts the engine's flow; nil shows nothing of that.
	Tally *Tally
	// UI makes what answers below /ui/; nil: nothing does.
	UI func(Front) Dashboard
}

// Server answers HTTP for one Engine.
type Server struct {
	engine         Engine
	log            *slog.Logger
	base           string
	version        string
	host           string // of Addr
	loopback       bool   // Addr is a loopback address: only local names may be in a Host header
	origins        *http.CrossOriginProtection
	routes         []*route
	keys           *Keys
	metricsOpen    bool
	certificate    *Certificate
	ui             Dashboard
	strangers      *strangers
	metrics        *metrics
	traffic        *traffic
	queue          *queue // completions
	template       *chat.Template
	requestTimeout time.Duration
	loads          chan struct{}
	reads          chan struct{}
	feeds          chan struct{}
	bodies         atomic.Int64  // bytes, at most maxBodies
	document       []byte        // of GET /api/v1/openapi.json
	closing        chan struct{} // closed by Shutdown: feeds end
	http           *http.Server

	bodyTimeout, writeTimeout, heartbeat time.Duration
}

// New returns a Server that does not listen yet.
func New(engine Engine, opts Options) *Server {
	host, _, err := net.SplitHostPort(opts.Addr)
	if err != nil {
		host = opts.Addr
	}
	ip, err := netip.ParseAddr(host)
	s := &Server{
		engine: engine, log: Logger(opts.Log), base: opts.BaseName, version: opts.Version,
		host: host, loopback: err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost"),
		origins:  http.NewCrossOriginProtection(),
		traffic:  newTraffic(),
		template: opts.ChatTemplate, requestTimeout: opts.RequestTimeout,
		loads:   make(chan struct{}, maxLoads),
		reads:   make(chan struct{}, maxReads),
		feeds:   make(chan struct{}, maxFeeds),
		closing: make(chan struct{}),
		keys:    opts.Keys, metricsOpen: opts.MetricsOpen, certificate: opts.Certificate, strangers: &strangers{clients: map[string]int{}},

		bodyTimeout: bodyTimeout, writeTimeout: writeTimeout, heartbeat: heartbeat,
	}
	s.queue = newQueue(opts.MaxRequests, opts.MaxPerModel, s.traffic)
	s.metrics = newMetrics(engine, s.traffic, cmp.Or(opts.Tally, NewTally()))
	if opts.UI != nil {
		s.ui = opts.UI(Front{s})
	}
	s.routes = s.table()
	s.document = s.openAPI()
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(opts.Log.Handler(), slog.LevelWarn),
	}
	var once sync.Once
	s.http.RegisterOnShutdown(func() { once.Do(func() { close(s.closing) }) })
	return s
}

// untilClosing is a context that ends when the server begins to stop: what has no end of its own is to end then.
func (s *Server) untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Handler returns the whole front, for a server of one's own.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Serve accepts connections on ln until Shutdown, and then returns nil.
func (s *Server) Serve(ln net.Listener) error {
	serve := s.http.Serve
	if s.certificate != nil {
		s.http.TLSConfig = s.certificate.Config()
		serve = func(ln net.Listener) error { return s.http.ServeTLS(ln, "", "") }
	}
	if err := serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown turns new completions away and waits for those in flight; then it stops accepting and waits for the other requests. Those that are
// not done when ctx ends are cut off, and its error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	err := errors.Join(s.queue.drain(ctx), s.http.Shutdown(ctx))
	if err != nil {
		s.http.Close()
	}
	return err
}
