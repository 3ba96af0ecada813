// Command tenon checks LoRA adapters against a base model, merges them, and serves the result.
package main

import (
	"os"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/telemetry"
	"github.com/tenon-ml/tenon/plugins/cpu"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	switch {
	case worker.Invoked():
		worker.Main()
	case os.Args[0] == backend.CPUArgv0:
		cpu.Main(cpu.Options{Version: version}, telemetry.Backend("tenon-backend-cpu", version)...)
	default:
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
}
