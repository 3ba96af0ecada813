package gate

import (
	"time"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// What honest work may cost, three times what it was measured to cost on a busy core without vector kernels.
const (
	perFusedStep = 10 * time.Nanosecond // of a pass over W at rank r: out x in x (r + 8) of them, the 8 for reading and summing
	perReflector = 10 * time.Nanosecond // of a thin QR: (out + in) x r^2
	perRotation  = 50 * time.Nanosecond // of the SVD of the r x r core: r^3
	svdsAPair    = 3                    // that similarity takes of an adapter: of A, of delta W, and once more for a peer

	perStored   = 600 * time.Nanosecond // of an entry that is stored in five formats and read back
	mostStored  = 1 << 22               // entries of a weight; of larger ones merge-loss takes a sample
	perOpposed  = 400 * time.Nanosecond // of an entry of two deltas whose signs are compared
	mostOpposed = 1 << 20               // entries of a weight; of larger ones interference takes a sample
	basePasses  = 60                    // over W that a decomposition of W + delta W takes, of eighteen fused steps an entry
)

// What a module may say of one weight. The most talkative of the built-in ones says 48 numbers.
const (
	metricsPerTarget  = 64
	findingsPerTarget = 8
	callsPerTarget    = 20_000 // and adapter; interference reads rows one by one
)

// limitsFor is what a run may use: what the policy says, and otherwise the defaults, grown with the adapter. The defaults suit a small
// model; a diagnostic that reads 7 billion weights needs minutes, and a deadline that ends honest work answers every such check with
// "inconclusive". The deadline is a function of shapes alone, so that it is the same on every machine.
func limitsFor(set abi.Limits, in sandbox.Input, granted []abi.Capability, cost abi.Cost) abi.Limits {
	limits := set.WithDefaults()
	adapters := 1 + len(in.Peers)
	if set.Metrics == 0 {
		limits.Metrics = max(limits.Metrics, metricsPerTarget*len(in.Targets)) * adapters
	}
	if set.Findings == 0 {
		limits.Findings = max(limits.Findings, findingsPerTarget*len(in.Targets))
	}
	if set.GridValues == 0 {
		limits.GridValues *= adapters
	}
	if set.HostCalls == 0 {
		limits.HostCalls = max(limits.HostCalls, callsPerTarget*int64(len(in.Targets)*adapters))
	}
	if set.RunMillis == 0 && len(granted) > 0 {
		limits.RunMillis += work(in, adapters, cost).Milliseconds()
	}
	return limits
}

// work is the time the host's kernels may take for the adapter and its peers. Floats, since foreign shapes could overflow an integer.
func work(in sandbox.Input, adapters int, cost abi.Cost) time.Duration {
	var total float64
	for _, t := range in.Targets {
		rank, rows, cols := float64(t.Rank), float64(t.Out), float64(t.In)
		if t.Base.Present() {
			total += float64(perFusedStep)*rows*cols*(rank+8) + float64(perStored)*min(rows*cols, mostStored)
			if cost == abi.CostVectors {
				total += float64(perFusedStep) * basePasses * rows * cols * 18
			}
		}
		total += float64(adapters-1) * float64(perOpposed) * min(rows*cols, mostOpposed)
		total += float64(svdsAPair*adapters) * (float64(perReflector)*(rows+cols)*rank*rank + float64(perRotation)*rank*rank*rank)
	}
	return time.Duration(min(total, float64(maxWork)))
}

// maxWork ends what no shape of a real model explains.
const maxWork = 6 * time.Hour
