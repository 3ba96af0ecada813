package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is the registry behind GET /metrics. Paths, statuses and verdicts are labels because there are few of them; aliases are not.
type metrics struct {
	registry *prometheus.Registry
	handler  http.Handler
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	tokens   *prometheus.CounterVec
	first    prometheus.Histogram
}

func newMetrics(engine Engine, traffic *traffic, tally *Tally) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenon_http_requests_total",
			Help: "Requests answered, by path and status."}, []string{"path", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tenon_http_request_duration_seconds",
			Help: "Time from a request's header to the end of its answer.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"path"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenon_tokens_total",
			Help: "Tokens of prompts, and tokens generated."}, []string{"kind"}),
		first: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tenon_time_to_first_token_seconds",
			Help: "Time from a completion's header to its first token.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.tokens, m.first, tally.loads, tally.findings, tally.steps, &live{engine: engine, traffic: traffic},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return m
}

func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}

func (m *metrics) request(path string, status int, took time.Duration) {
	m.requests.WithLabelValues(path, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(path).Observe(took.Seconds())
}

// live collects what is known only at the moment of a scrape.
type live struct {
	engine  Engine
	traffic *traffic
}

var _ prometheus.Collector = (*live)(nil)

var (
	upDesc       = prometheus.NewDesc("tenon_backend_up", "1 while the backend answers requests.", nil, nil)
	restartsDesc = prometheus.NewDesc("tenon_backend_restarts_total", "Times the backend was started again.", nil, nil)
	runningDesc  = prometheus.NewDesc("tenon_backend_requests_running", "Requests the backend works on.", nil, nil)
	waitingDesc  = prometheus.NewDesc("tenon_backend_requests_waiting", "Requests queued in the backend.", nil, nil)
	adaptersDesc = prometheus.NewDesc("tenon_adapters", "Adapters that are live.", nil, nil)
	memoryDesc   = prometheus.NewDesc("tenon_generation_bytes", "Memory of generations, beyond the base.", nil, nil)
	limitDesc    = prometheus.NewDesc("tenon_generation_bytes_limit", "Memory that generations may use; 0 where there is no limit.", nil, nil)
	cacheDesc    = prometheus.NewDesc("tenon_cache_bytes", "Keys and values of texts, in the backend.", nil, nil)
	residentDesc = prometheus.NewDesc("tenon_generations", "Generations in the backend's memory, beyond the base.", []string{"state", "mode"}, nil)
	boundDesc    = prometheus.NewDesc("tenon_generation_requests", "Requests that are bound to a generation other than the base.", []string{"state"}, nil)
	// loraDesc is vLLM's gauge, which the Kubernetes inference gateway reads: its labels are the message, its value is the time.
	loraDesc = prometheus.NewDesc("vllm:lora_requests_info", "Running stats on lora requests.",
		[]string{"max_lora", "running_lora_adapters", "waiting_lora_adapters"}, nil)
)

// Describe implements prometheus.Collector.
func (l *live) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, restartsDesc, runningDesc, waitingDesc, adaptersDesc, memoryDesc,
		limitDesc, cacheDesc, residentDesc, boundDesc, loraDesc} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (l *live) Collect(out chan<- prometheus.Metric) {
	state := l.engine.Status()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	up := 0.0
	if state.Ready {
		up = 1
	}
	gauge(upDesc, up)
	out <- prometheus.MustNewConstMetric(restartsDesc, prometheus.CounterValue, float64(state.Restarts))
	gauge(runningDesc, float64(state.Running))
	gauge(waitingDesc, float64(state.Waiting))
	adapters := 0.0
	for _, m := range l.engine.Models() {
		if m.Parent != "" && m.answers() {
			adapters++
		}
	}
	gauge(adaptersDesc, adapters)
	gauge(memoryDesc, float64(state.MemoryUsed))
	gauge(limitDesc, float64(state.MemoryLimit))
	gauge(cacheDesc, float64(state.CacheBytes))
	type kind struct {
		state State
		mode  Mode
	}
	count, bound := map[kind]int{}, map[State]int{}
	for _, g := range l.engine.Generations() {
		count[kind{g.State, g.Mode}]++
		bound[g.State] += g.Requests
	}
	for k, n := range count {
		gauge(residentDesc, float64(n), string(k.state), string(k.mode))
	}
	for k, n := range bound {
		gauge(boundDesc, float64(n), string(k))
	}
	runningAliases, waitingAliases := l.traffic.aliases()
	gauge(loraDesc, float64(time.Now().UnixMilli())/1000, strconv.Itoa(l.engine.Limits().MaxAdapters),
		strings.Join(runningAliases, ","), strings.Join(waitingAliases, ","))
}
