package sandbox

import (
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// TestPrepared: a module that was compiled ahead runs like any other, and is granted no more.
func TestPrepared(t *testing.T) {
	kernels := []abi.Capability{abi.CapKernels}
	multiplying := wasmtest.Guest(wasmtest.Host("matmul"), wasmtest.Code(wasmtest.Const(0), wasmtest.Const(0), wasmtest.Const(0),
		wasmtest.Call(0), wasmtest.Drop, wasmtest.Const(3))...).Encode()
	for _, c := range []struct {
		name    string
		options Options
		want    Status
	}{
		{"runs", Options{Wasm: wasmtest.Returning(3).Encode()}, GuestError},
		{"granted", Options{Wasm: multiplying, Manifest: abi.Manifest{Needs: kernels}, Granted: kernels}, GuestError},
		{"not granted", Options{Wasm: multiplying, Manifest: abi.Manifest{Needs: kernels}}, Denied},
		{"not in its manifest", Options{Wasm: multiplying, Granted: kernels}, Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if c.options.Prepared, err = Prepare(t.Context(), c.options); err != nil {
				t.Fatal(err)
			}
			result := Run(t.Context(), c.options)
			if result.Status != c.want || c.want == GuestError && result.Code != 3 {
				t.Errorf("%s %q, want %s", result.Status, result.Error, c.want)
			}
		})
	}
	for name, wasm := range map[string][]byte{"refused": wasmtest.Nesting(30_000, 1).Encode(), "does not compile": wasmtest.Guest(nil, wasmtest.Float(1)...).Encode()} {
		if _, err := Prepare(t.Context(), Options{Wasm: wasm}); err == nil {
			t.Errorf("%s: prepared", name)
		}
	}
}
