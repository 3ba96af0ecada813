// Command factors is the guest with the diagnostics that look at an adapter's factors. Diagnostics that need the same capabilities share a guest, because compiling
// one costs a second and nothing is gained by doing that for each.
package main

import (
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/anomaly"
	"github.com/tenon-ml/tenon/wasm/modules/outliers"
	"github.com/tenon-ml/tenon/wasm/modules/spectrum"
)

func init() {
	diag.RegisterAll(map[string]func(*diag.Run) error{
		"anomaly":  anomaly.Diagnose,
		"outliers": outliers.Diagnose,
		"spectrum": spectrum.Diagnose,
	})
}

func main() {}
