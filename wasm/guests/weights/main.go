// Command weights is the guest with the diagnostics that work with the base's weights. Diagnostics that need the same capabilities share a guest, because compiling
// one costs a second and nothing is gained by doing that for each.
package main

import (
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/amplification"
	baseoverlap "github.com/tenon-ml/tenon/wasm/modules/base-overlap"
	"github.com/tenon-ml/tenon/wasm/modules/hygiene"
	"github.com/tenon-ml/tenon/wasm/modules/intruders"
	mergeloss "github.com/tenon-ml/tenon/wasm/modules/merge-loss"
)

func init() {
	diag.RegisterAll(map[string]func(*diag.Run) error{
		"amplification": amplification.Diagnose,
		"base-overlap":  baseoverlap.Diagnose,
		"hygiene":       hygiene.Diagnose,
		"intruders":     intruders.Diagnose,
		"merge-loss":    mergeloss.Diagnose,
	})
}

func main() {}
