package sandbox

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// FuzzPrecheck holds the promise of the pre-check: what it accepts, the compiler compiles or refuses, without a panic and without taking
// more memory than the module is worth.
func FuzzPrecheck(f *testing.F) {
	for _, m := range []wasmtest.Module{
		wasmtest.Quiet(), wasmtest.Recursing(), wasmtest.Growing(), wasmtest.Nesting(3, 1), wasmtest.Branching(3, 1), wasmtest.Filling(2),
		wasmtest.Measuring(2), wasmtest.Script(wasmtest.Do("target_info", 0, 64), wasmtest.Do("log", "text")),
	} {
		f.Add(m.Encode())
	}
	table := wasmtest.Quiet()
	table.Table = 3
	f.Add(table.Encode())
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	for i := range 8 {
		f.Add(wasmtest.Random([]byte{byte(4 * i), byte(i)}))
	}
	everything := []abi.Capability{abi.CapBase, abi.CapPeers, abi.CapKernels}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 4<<10 || Precheck(wasm, abi.Manifest{Needs: everything}, everything, abi.Limits{}) != nil {
			return
		}
		ctx := context.Background()
		config := wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false).WithMemoryLimitPages(1024)
		runtime := wazero.NewRuntimeWithConfig(ctx, config)
		defer runtime.Close(ctx)
		_, _ = runtime.CompileModule(ctx, wasm)
	})
}
