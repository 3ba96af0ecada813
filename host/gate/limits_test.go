package gate

import (
	"os"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

func TestLimitsGrowWithTheAdapter(t *testing.T) {
	target := sandbox.Target{Rank: 16, In: 4096, Out: 4096}
	withBase := target
	withBase.Base.Reader = os.Stdin // present is all that counts
	all := []abi.Capability{abi.CapBase, abi.CapKernels}
	many := make([]sandbox.Target, 224)
	for i := range many {
		many[i] = withBase
	}
	huge := sandbox.Target{Rank: 1 << 30, In: 1 << 60, Out: 1 << 60}
	defaults := abi.DefaultLimits
	for _, c := range []struct {
		name       string
		set        abi.Limits
		in         sandbox.Input
		granted    []abi.Capability
		least, top int64 // of RunMillis
		metrics    int
	}{
		{"nothing to do", abi.Limits{}, sandbox.Input{}, all, 10_000, 10_000, defaults.Metrics},
		{"nothing granted", abi.Limits{}, sandbox.Input{Targets: many}, nil, 10_000, 10_000, 64 * 224},
		{"factors only", abi.Limits{}, sandbox.Input{Targets: []sandbox.Target{target}}, all, 10_010, 10_200, defaults.Metrics},
		{"one pass over W", abi.Limits{}, sandbox.Input{Targets: []sandbox.Target{withBase}}, all, 15_000, 18_000, defaults.Metrics},
		{"a model of 3.8 billion", abi.Limits{}, sandbox.Input{Targets: many}, all, 1_000_000, 2_000_000, 64 * 224},
		{"two peers", abi.Limits{}, sandbox.Input{Peers: make([]sandbox.Peer, 2)}, all, 10_000, 10_000, 3 * defaults.Metrics},
		{"what the policy sets stays", abi.Limits{RunMillis: 300, Metrics: 7}, sandbox.Input{Targets: many, Peers: make([]sandbox.Peer, 2)}, all, 300, 300, 7},
		{"no shape overflows it", abi.Limits{}, sandbox.Input{Targets: []sandbox.Target{huge}}, all, 10_000, 7 * 3600_000, defaults.Metrics},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := limitsFor(c.set, c.in, c.granted, abi.CostWeights)
			if got.RunMillis < c.least || got.RunMillis > c.top || got.Metrics != c.metrics {
				t.Errorf("%d ms and %d metrics, want %d to %d ms and %d", got.RunMillis, got.Metrics, c.least, c.top, c.metrics)
			}
		})
	}
}
