package gate

import (
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
)

func TestDemandIsBounded(t *testing.T) {
	asking := func(rank int, granted ...abi.Capability) *run {
		return &run{requirement: Requirement{Grant: granted, BaseSVD: true}, module: modules.Module{Manifest: abi.Manifest{BaseSVDRank: rank}}}
	}
	target := func(rank, in, out int) adapter.Target {
		return adapter.Target{Pair: adapter.Pair{Rank: rank}, In: in, Out: out}
	}
	for _, c := range []struct {
		name   string
		runs   []*run
		target adapter.Target
		want   int
	}{
		{"nobody asks", []*run{asking(0, abi.CapBase)}, target(16, 4096, 4096), 0},
		{"asked without the grant", []*run{asking(-1)}, target(16, 4096, 4096), 0},
		{"the target's rank", []*run{asking(-1, abi.CapBase)}, target(16, 4096, 4096), 16},
		{"the most demanding", []*run{asking(-1, abi.CapBase), asking(64, abi.CapBase)}, target(16, 4096, 4096), 64},
		{"a tenth", []*run{asking(abi.BaseSVDTenth, abi.CapBase)}, target(16, 1024, 4096), 103},
		{"a tenth of a small weight", []*run{asking(abi.BaseSVDTenth, abi.CapBase)}, target(16, 192, 96), 16},
		{"all", []*run{asking(abi.BaseSVDAll, abi.CapBase)}, target(16, 192, 96), 96},
		{"all of a large weight", []*run{asking(abi.BaseSVDAll, abi.CapBase)}, target(16, 4096, 4096), maxTriples},
		{"not granted by the policy", []*run{{requirement: Requirement{Grant: []abi.Capability{abi.CapBase}},
			module: modules.Module{Manifest: abi.Manifest{BaseSVDRank: -1}}}}, target(16, 4096, 4096), 0},
		{"a small weight", []*run{asking(-1, abi.CapBase)}, target(64, 4096, 48), 48},
		{"a stranger's rank", []*run{asking(-1, abi.CapBase)}, target(4096, 4096, 4096), maxTriples},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := demand(c.runs, &c.target); got != c.want {
				t.Errorf("%d triples, want %d", got, c.want)
			}
		})
	}
}
