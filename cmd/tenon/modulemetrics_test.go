package main

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/report"
)

func TestMetricTable(t *testing.T) {
	metrics := []report.Metric{{Target: "w", Name: "ratio", Value: 1.5}, {Target: "w", Name: "norm_b", Value: 1234567}, {Target: "layers.v", Name: "ratio",
		Value: 40}}
	want := []string{
		"            ratio       norm_b",
		"  w           1.5  1.23457e+06",
		"  layers.v     40            -",
	}
	if got := metricTable(metrics, 30); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := metricTable(metrics, 29); got != nil {
		t.Errorf("%q is too wide", got)
	}
	if got := metricTable(metrics[:2], 80); got != nil {
		t.Errorf("a table of one row: %q", got)
	}
}
