package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is the registry behind GET /metrics. Paths, statuses and verdicts are labels because there are few of them; aliases are not.
type metrics struct {
	registry *prometheus.Registry
	handler  http.Handler
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	tokens   *prometheus.CounterVec
	loads    *prometheus.CounterVec
}

func newMetrics(engine Engine, traffic *traffic) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenon_http_requests_total",
			Help: "Requests answered, by path and status."}, []string{"path", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tenon_http_request_duration_seconds",
			Help: "Time from a request's header to the end of its answer.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"path"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenon_tokens_total",
			Help: "Tokens of prompts, and tokens generated."}, []string{"kind"}),
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenon_adapter_loads_total",
			Help: "Adapters asked to be loaded, by the gate's verdict; error where there is none."}, []string{"verdict"}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.tokens, m.loads, &live{engine: engine, traffic: traffic})
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
	// loraDesc is vLLM's gauge, which the Kubernetes inference gateway reads: its labels are the message, its value is the time.
	loraDesc = prometheus.NewDesc("vllm:lora_requests_info", "Running stats on lora requests.",
		[]string{"max_lora", "running_lora_adapters", "waiting_lora_adapters"}, nil)
)

// Describe implements prometheus.Collector.
func (l *live) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, restartsDesc, runningDesc, waitingDesc, adaptersDesc, loraDesc} {
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
	gauge(adaptersDesc, float64(len(l.engine.Models())-1))
	runningAliases, waitingAliases := l.traffic.aliases()
	gauge(loraDesc, float64(time.Now().UnixMilli())/1000, strconv.Itoa(l.engine.Limits().MaxAdapters),
		strings.Join(runningAliases, ","), strings.Join(waitingAliases, ","))
}
