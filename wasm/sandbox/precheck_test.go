package sandbox

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// sections joins sections into a module.
func sections(parts ...[]byte) []byte {
	return slices.Concat(append([][]byte{[]byte("\x00asm\x01\x00\x00\x00")}, parts...)...)
}

// body is a quiet module whose diagnose has the given raw body: locals and instructions, with the final end.
func body(raw []byte) []byte {
	m := wasmtest.Quiet()
	m.Functions[1].Locals = []byte{}
	m.Functions[1].Code = raw[:len(raw)-1]
	return m.Encode()
}

// changed is a quiet module with a change.
func changed(change func(m *wasmtest.Module)) []byte {
	m := wasmtest.Quiet()
	change(&m)
	return m.Encode()
}

// wide is a quiet module with a function of 900 parameters and as many results, which pushes its parameters before code.
func wide(code []byte) []byte {
	return changed(func(m *wasmtest.Module) {
		types := bytes.Repeat([]byte{wasmtest.I32}, 900)
		f := wasmtest.Function{Params: types, Results: types}
		for i := range types {
			f.Code = append(f.Code, wasmtest.Get(uint32(i))...)
		}
		f.Code = append(f.Code, code...)
		m.Functions = append(m.Functions, f)
	})
}

func TestPrecheckRefuses(t *testing.T) {
	claim := wasmtest.U32(1<<32 - 1)
	const empty = "\x01\x04\x01\x60\x00\x00" // a type section of one type, () -> ()
	for _, c := range []struct {
		name string
		wasm []byte
		says string
	}{
		{"nothing", nil, "not a WebAssembly binary"},
		{"text", []byte("(module)"), "not a WebAssembly binary"},
		{"truncated magic", []byte("\x00as"), "not a WebAssembly binary"},
		{"version 2", []byte("\x00asm\x02\x00\x00\x00"), "version"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), "component"},
		{"too large", make([]byte, maxModule+1), "at most"},
		{"truncated section", sections([]byte{1, 100}), "claims 100 bytes"},
		{"unknown section", sections([]byte{14, 0}), "unknown section"},
		{"tag section", sections([]byte{13, 1, 0}), "exception handling"},
		{"sections out of order", sections([]byte(empty), []byte(empty)), "out of order"},
		{"2^31 functions in a few bytes", sections([]byte(empty), wasmtest.Section(3, wasmtest.U32(1<<31))), "functions are claimed"},
		{"2^32-1 types", sections(wasmtest.Section(1, claim)), "types are claimed"},
		{"2^32-1 parameters", sections(wasmtest.Section(1, slices.Concat([]byte{1, 0x60}, claim))), "value types are claimed"},
		{"2^32-1 imports", sections(wasmtest.Section(2, claim)), "imports are claimed"},
		{"2^32-1 exports", sections(wasmtest.Section(7, claim)), "exports are claimed"},
		{"2^32-1 element segments", sections(wasmtest.Section(9, claim)), "segments are claimed"},
		{"2^32-1 bodies", sections(wasmtest.Section(10, claim)), "bodies are claimed"},
		{"2^32-1 data segments", sections(wasmtest.Section(11, claim)), "data segments are claimed"},
		{"2^32-1 names", sections(wasmtest.Section(0, slices.Concat(wasmtest.Text("name"), []byte{1, 5}, claim))), "names are claimed"},
		{"2^32-1 locals", body(slices.Concat([]byte{1}, claim, []byte{wasmtest.I32, 0x41, 0, wasmtest.End})), "more than 50000 locals"},
		{"locals in many groups", body(slices.Concat([]byte{3}, bytes.Repeat(slices.Concat(wasmtest.U32(20_000), []byte{wasmtest.I32}), 3),
			[]byte{0x41, 0, wasmtest.End})), "more than 50000 locals"},
		{"a million locals in all", changed(func(m *wasmtest.Module) {
			for range 21 {
				m.Functions = append(m.Functions, wasmtest.Function{Locals: wasmtest.Locals(50_000, wasmtest.I32)})
			}
		}), "locals in all"},
		{"table of 64 million", changed(func(m *wasmtest.Module) { m.Table = 64 << 20 }), "a table of"},
		{"two tables", sections(wasmtest.Section(4, []byte{2, 0x70, 0, 1, 0x70, 0, 1})), "2 tables"},
		{"two memories", sections(wasmtest.Section(5, []byte{2, 0, 1, 0, 1})), "2 memories"},
		{"memory beyond the limit", changed(func(m *wasmtest.Module) { m.MinPages = 65536 }), "limit of guest memory"},
		{"shared memory", sections(wasmtest.Section(5, []byte{1, 3, 1, 1})), "threads"},
		{"64-bit memory", sections(wasmtest.Section(5, []byte{1, 4, 1})), "memory64"},
		{"memory maximum below minimum", changed(func(m *wasmtest.Module) { m.MinPages, m.MaxPages = 2, 1 }), "below its minimum"},
		{"imported memory", sections(wasmtest.Section(2, slices.Concat([]byte{1}, wasmtest.Text("env"), wasmtest.Text("memory"),
			[]byte{2, 0, 1}))), "brings its own"},
		{"start section", sections([]byte(empty), []byte{3, 2, 1, 0}, []byte{8, 1, 0}), "start section"},
		{"GC types", sections(wasmtest.Section(1, []byte{1, 0x4e, 0, 0})), "GC"},
		{"tail call", body([]byte{0, 0x12, 0, wasmtest.End}), "tail call"},
		{"exceptions", body([]byte{0, 0x08, 0, wasmtest.End}), "exception handling"},
		{"threads", body([]byte{0, 0xfe, 0, wasmtest.End}), "threads"},
		{"relaxed SIMD", body([]byte{0, 0xfd, 0x80, 2, wasmtest.End}), "relaxed SIMD"},
		{"unknown SIMD", body([]byte{0, 0xfd, 0xe2, 1, wasmtest.End}), "unknown"},
		{"unknown bulk", body([]byte{0, 0xfc, 18, wasmtest.End}), "unknown"},
		{"unknown opcode", body([]byte{0, 0x27, wasmtest.End}), "unknown"},
		{"second memory", body([]byte{0, 0x3f, 1, wasmtest.End}), "multi-memory"},
		{"extended constant", sections(wasmtest.Section(6, []byte{1, 0x7f, 0, 0x41, 0, 0x41, 0, 0x6a, wasmtest.End})), "extended constants"},
		{"overlong number", body([]byte{0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0, wasmtest.End}), "does not fit"},
		{"nesting", wasmtest.Nesting(maxNesting+1, 1).Encode(), "nested"},
		{"br_table", wasmtest.Branching(maxBranches+1, 1).Encode(), "branches"},
		{"body too long", body(slices.Concat([]byte{0}, bytes.Repeat([]byte{wasmtest.Nop}, maxBody), []byte{wasmtest.End})), "bytes of a body"},
		{"calls of many values", wide(wasmtest.Repeat(40, wasmtest.Call(2))), "pass more than"},
		{"branches with many values", wide(wasmtest.Repeat(80, wasmtest.Get(0), wasmtest.BrIf(0))), "pass more than"},
		{"br_table with many values", wide(wasmtest.Code(wasmtest.Get(0), wasmtest.BrTable(make([]uint32, 80), 0))), "pass more than"},
		{"blocks with many values", wide(wasmtest.Repeat(40, []byte{0x02, 2}, wasmtest.End)), "pass more than"},
		{"values in all functions", changed(func(m *wasmtest.Module) {
			for range 40 {
				m.Functions = append(m.Functions, wasmtest.Function{Params: []byte{wasmtest.I32}, Results: []byte{wasmtest.I32},
					Code: wasmtest.Code(wasmtest.Get(0), wasmtest.Repeat(30_000, wasmtest.Call(2)))})
			}
		}), "of all functions"},
		{"wide types", changed(func(m *wasmtest.Module) {
			for range 101 {
				m.Functions = append(m.Functions, wasmtest.Function{Params: bytes.Repeat([]byte{wasmtest.I32}, maxSignature)})
			}
		}), "in all types"},
		{"blocks times locals", changed(func(m *wasmtest.Module) {
			m.Functions = append(m.Functions, wasmtest.Function{Locals: wasmtest.Locals(10_000, wasmtest.I32),
				Code: wasmtest.Repeat(200, wasmtest.Loop(), wasmtest.End)})
		}), "multiplied"},
		{"more bodies than functions", sections([]byte(empty), wasmtest.Section(10, []byte{1, 2, 0, wasmtest.End})), "more bodies"},
		{"table that grows for ever", wasmtest.GrowingTable().Encode(), "table.grow"},
		{"bytes after the end", body([]byte{0, wasmtest.End, wasmtest.Nop, wasmtest.End}), "after the end"},
		{"export twice", changed(func(m *wasmtest.Module) { m.Functions[0].Export = "diagnose" }), "there twice"},
		{"missing exports", changed(func(m *wasmtest.Module) { m.Functions[0].Export = ""; m.Functions[1].Export = "" }),
			`missing export "tenon_abi_1" () -> ()`},
		{"newer ABI", changed(func(m *wasmtest.Module) { m.Functions[0].Export = "tenon_abi_2" }), `missing export "tenon_abi_1"`},
		{"wrong type", changed(func(m *wasmtest.Module) { m.Functions[1].Params = []byte{wasmtest.I64} }),
			`export "diagnose" is (i64) -> (i32), the ABI has () -> (i32)`},
		{"no memory", changed(func(m *wasmtest.Module) { m.NoMemory = true }), "no memory of its own"},
		{"command", changed(func(m *wasmtest.Module) { m.Functions = append(m.Functions, wasmtest.Function{Export: "_start"}) }), "reactor"},
		{"unknown import", wasmtest.Guest([]wasmtest.Import{{Module: "env", Name: "os_exec"}}, wasmtest.Const(0)...).Encode(),
			`unknown import "env"."os_exec"`},
		{"newer function", wasmtest.Guest([]wasmtest.Import{{Module: abi.Module, Name: "teleport"}}, wasmtest.Const(0)...).Encode(),
			"no such function"},
		{"files", wasmtest.Guest([]wasmtest.Import{{Module: abi.WASIModule, Name: "path_open"}}, wasmtest.Const(0)...).Encode(), "path_open"},
		{"import of another type", wasmtest.Guest([]wasmtest.Import{{Module: abi.Module, Name: "target_count", Params: []byte{wasmtest.I64}}},
			wasmtest.Const(0)...).Encode(), "import tenon_v1.target_count is (i64) -> (), the ABI has () -> (i32)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Precheck(c.wasm, abi.Manifest{}, nil, abi.Limits{})
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Status != Invalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want a refusal with %q", err, c.says)
			}
		})
	}
}

func TestPrecheckTellsEverythingAtOnce(t *testing.T) {
	m := wasmtest.Guest(append(wasmtest.Host("qr"), wasmtest.Import{Module: "env", Name: "one"}, wasmtest.Import{Module: "env", Name: "two"}),
		wasmtest.Const(0)...)
	m.Functions[0].Export = ""
	err := Precheck(m.Encode(), abi.Manifest{}, nil, abi.Limits{})
	for _, want := range []string{"one", "two", "tenon_abi_1", `"kernels"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell %q", err, want)
		}
	}
	for range maxImports - 3 {
		m.Imports = append(m.Imports, wasmtest.Import{Module: "env", Name: "more"})
	}
	if err := Precheck(m.Encode(), abi.Manifest{}, nil, abi.Limits{}); err == nil || len(err.Error()) > 64<<10 ||
		!strings.Contains(err.Error(), "and 9") {
		t.Errorf("a long list: %v", err)
	}
}

func TestPrecheckAccepts(t *testing.T) {
	for name, m := range map[string]wasmtest.Module{
		"quiet": wasmtest.Quiet(), "nested": wasmtest.Nesting(maxNesting-1, 1), "branching": wasmtest.Branching(maxBranches, 1),
		"recursing": wasmtest.Recursing(), "measuring": wasmtest.Measuring(3),
		"many calls": func() wasmtest.Module {
			m := wasmtest.Quiet()
			m.Functions = append(m.Functions, wasmtest.Function{Params: []byte{wasmtest.I32}, Results: []byte{wasmtest.I32},
				Code: wasmtest.Code(wasmtest.Get(0), wasmtest.Repeat(maxMoved/2, wasmtest.Call(2)))})
			return m
		}(),
		"named": func() wasmtest.Module {
			m := wasmtest.Quiet()
			m.Custom = slices.Concat(wasmtest.Text("name"), []byte{1, 7, 1, 0, 4}, []byte("mark"))
			return m
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			if err := Precheck(m.Encode(), abi.Manifest{}, nil, abi.Limits{}); err != nil {
				t.Error(err)
			}
		})
	}
}
