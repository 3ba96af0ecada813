package sandbox

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// TestRandomModulesAreValid: what fuzzing is fed with gets behind the pre-check and the compiler's validation.
func TestRandomModulesAreValid(t *testing.T) {
	ctx := context.Background()
	everything := []abi.Capability{abi.CapBase, abi.CapPeers, abi.CapKernels}
	config := wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false)
	runtime := wazero.NewRuntimeWithConfig(ctx, config)
	defer runtime.Close(ctx)
	most := 0
	for i := range 500 {
		seed := binary.LittleEndian.AppendUint32(nil, uint32(i)*2654435761)
		wasm := wasmtest.Random(seed[:1+i%4])
		most = max(most, len(wasm))
		if err := Precheck(wasm, abi.Manifest{Needs: everything}, everything, abi.Limits{}); err != nil {
			t.Fatalf("seed %x: refused: %v", seed[:1+i%4], err)
		}
		module, err := runtime.CompileModule(ctx, wasm)
		if err != nil {
			t.Fatalf("seed %x: does not validate: %v", seed[:1+i%4], err)
		}
		_ = module.Close(ctx)
	}
	if most < 4<<10 {
		t.Errorf("the largest of them has %d bytes", most)
	}
}
