// Command peers is the guest with the diagnostics that compare an adapter with others. Diagnostics that need the same capabilities share a guest, because compiling
// one costs a second and nothing is gained by doing that for each.
package main

import (
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/duplicates"
	"github.com/tenon-ml/tenon/wasm/modules/interference"
	"github.com/tenon-ml/tenon/wasm/modules/similarity"
)

func init() {
	diag.RegisterAll(map[string]func(*diag.Run) error{
		"duplicates":   duplicates.Diagnose,
		"interference": interference.Diagnose,
		"similarity":   similarity.Diagnose,
	})
}

func main() {}
