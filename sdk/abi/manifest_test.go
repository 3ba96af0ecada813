package abi

import (
	"math"
	"testing"
)

// TestLimitsAreBounded: what a policy or a manifest says never leaves the range in which sums of limits fit an int64.
func TestLimitsAreBounded(t *testing.T) {
	most := Limits{
		GuestMemory: math.MaxInt64, HostTensors: math.MaxInt64, Metrics: math.MaxInt, GridValues: math.MaxInt, Findings: math.MaxInt, LogBytes: math.MaxInt,
		HostCalls: math.MaxInt64, RunMillis: math.MaxInt64, CompileMillis: math.MaxInt64,
	}
	for _, c := range []struct {
		name       string
		have, want Limits
	}{
		{"none", Limits{}, DefaultLimits},
		{"all there are", most, MaxLimits},
		{"one", Limits{RunMillis: 5}, func() Limits { l := DefaultLimits; l.RunMillis = 5; return l }()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.have.WithDefaults(); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}
