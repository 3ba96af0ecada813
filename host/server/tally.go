package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenon-ml/tenon/host/report"
)

// Tally counts what happens in the flow, whoever asked for it: over HTTP, on the command line, by a watched folder. It begins before there is a
// Server, which shows it. It is safe for concurrent use.
type Tally struct {
	loads    *prometheus.CounterVec
	findings *prometheus.CounterVec
	steps    *prometheus.HistogramVec
}

// NewTally returns a Tally of nothing.
func NewTally() *Tally {
	return &Tally{
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenon_adapter_loads_total",
			Help: "Adapters asked to be loaded, by the gate's verdict; error where there is none, or where it could not be carried out."}, []string{"verdict"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tenon_adapter_findings_total",
			Help: "Findings that closed the gate or warned, by Tenon's own codes."}, []string{"code", "severity"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tenon_step_duration_seconds",
			Help:    "Steps of the flow: open, check, stage, verify, keep, commit, swap, and load, rollback and restore as a whole.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 12)}, []string{"step", "outcome"}),
	}
}

// maxFindings bounds what one report adds to the metrics.
const maxFindings = 64

// Load counts how a load has ended. A stranger's module chooses its codes freely, so they are no labels.
func (t *Tally) Load(loaded *Loaded, err error) {
	if err != nil || loaded == nil || loaded.Report == nil {
		t.loads.WithLabelValues("error").Inc()
		return
	}
	t.loads.WithLabelValues(string(loaded.Report.Verdict)).Inc()
	for i, f := range report.Own(loaded.Report).Findings {
		if f.Severity == report.Info || i == maxFindings {
			continue
		}
		t.findings.WithLabelValues(f.Code, string(f.Severity)).Inc()
	}
}

// Step counts a step of the flow, by one of telemetry's names.
func (t *Tally) Step(step string, took time.Duration, failed bool) {
	outcome := "ok"
	if failed {
		outcome = "failed"
	}
	t.steps.WithLabelValues(step, outcome).Observe(took.Seconds())
}
