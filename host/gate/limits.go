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
)

// limitsFor is what a run may use: what the policy says, and otherwise the defaults, grown with the adapter. The defaults suit a small
// model; a diagnostic that reads 7 billion weights needs minutes, and a deadline that ends honest work answers every such check with
// "inconclusive". The deadline is a function of shapes alone, so that it is the same on every machine.
func limitsFor(set abi.Limits, in sandbox.Input, granted []abi.Capability) abi.Limits {
	limits := set.WithDefaults()
	adapters := 1 + len(in.Peers)
	if set.Metrics == 0 {
		limits.Metrics *= adapters
	}
	if set.GridValues == 0 {
		limits.GridValues *= adapters
	}
	if set.RunMillis == 0 && len(granted) > 0 {
		limits.RunMillis += work(in, adapters).Milliseconds()
	}
	return limits
}

// work is the time the host's kernels may take for the adapter and its peers. Floats, since foreign shapes could overflow an integer.
func work(in sandbox.Input, adapters int) time.Duration {
	var total float64
	for _, t := range in.Targets {
		rank, rows, cols := float64(t.Rank), float64(t.Out), float64(t.In)
		if t.Base.Present() {
			total += float64(perFusedStep) * rows * cols * (rank + 8)
		}
		total += float64(svdsAPair*adapters) * (float64(perReflector)*(rows+cols)*rank*rank + float64(perRotation)*rank*rank*rank)
	}
	return time.Duration(min(total, float64(maxWork)))
}

// maxWork ends what no shape of a real model explains.
const maxWork = 6 * time.Hour
