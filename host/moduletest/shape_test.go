package moduletest

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

func TestReadShape(t *testing.T) {
	m := wasmtest.Guest(wasmtest.Host("metric", "svd"), wasmtest.Const(0)...)
	m.MinPages, m.MaxPages = 2, 3
	s, err := ReadShape(m.Encode())
	if err != nil {
		t.Fatal(err)
	}
	imports := []Import{{abi.Module, "metric", "(i32, i32, i32, i32, f64) -> (i32)"}, {abi.Module, "svd", "(i32, i32) -> (i32)"}}
	if !slices.Equal(s.Imports, imports) {
		t.Errorf("%v", s.Imports)
	}
	if want := []Export{{"tenon_abi_1", "() -> ()"}, {"diagnose", "() -> (i32)"}, {"memory", "memory"}}; !slices.Equal(s.Exports, want) {
		t.Errorf("%v", s.Exports)
	}
	if s.Memory != (Memory{2, 3}) || s.Functions != 2 || !slices.Equal(s.Capabilities(), []abi.Capability{abi.CapKernels}) {
		t.Errorf("%+v", s)
	}
}

// TestBuiltinShapes: the capabilities that a guest imports are those that the modules in it need.
func TestBuiltinShapes(t *testing.T) {
	builtin, err := modules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range builtin {
		if o := fit(m); !o.Passed() {
			t.Errorf("%s: %v", m.Manifest.ID, o.Problems)
		}
	}
}

func FuzzReadShape(f *testing.F) {
	m := wasmtest.Guest(wasmtest.Host("metric"), wasmtest.Const(0)...)
	m.Custom, m.Table, m.Data = []byte("\x04name"), 3, []wasmtest.Data{{Offset: 1, Bytes: []byte("x")}}
	whole := m.Encode()
	f.Add(whole)
	for n := range whole {
		f.Add(whole[:n])
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if s, err := ReadShape(wasm); (s == nil) == (err == nil) {
			t.Errorf("%v, %v", s, err)
		}
	})
}
