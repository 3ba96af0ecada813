// Package wasmtest assembles small WebAssembly modules for tests of the sandbox, the worker and the gate: guests that behave, and guests
// that do what no compiler would emit.
package wasmtest

// Value types.
const (
	I32 byte = 0x7f
	I64 byte = 0x7e
	F64 byte = 0x7c
)

// Import is an imported function.
type Import struct {
	Module, Name    string
	Params, Results []byte
}

// Function is a function of the module, exported under Export unless that is empty.
type Function struct {
	Export          string
	Params, Results []byte
	Locals          []byte // encoded groups; nil means none
	Code            []byte // without the final end
}

// Data is an active data segment of memory 0.
type Data struct {
	Offset int32
	Bytes  []byte
}

// Module is what Encode writes. Functions are numbered after the imports.
type Module struct {
	Imports   []Import
	Functions []Function
	MinPages  uint32
	MaxPages  uint32 // 0: no maximum
	NoMemory  bool   // neither memory nor its export
	Table     uint32 // entries of a table of functions, 0: no table
	Data      []Data
	Custom    []byte // a whole custom section's content, appended at the end
}

// Guest is a module that satisfies the ABI, whose diagnose has the given code, which must leave one i32. imports come first in the
// numbering.
func Guest(imports []Import, code ...byte) Module {
	return Module{
		Imports:  imports,
		MinPages: 1,
		Functions: []Function{
			{Export: "tenon_abi_1"},
			{Export: "diagnose", Results: []byte{I32}, Code: code},
		},
	}
}

// Encode writes the binary.
func (m Module) Encode() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	var types, imports, functions, exports, code [][]byte
	for i, f := range m.Imports {
		types = append(types, functionType(f.Params, f.Results))
		imports = append(imports, join(Text(f.Module), Text(f.Name), []byte{0}, U32(uint32(i))))
	}
	for i, f := range m.Functions {
		types = append(types, functionType(f.Params, f.Results))
		index := uint32(len(m.Imports) + i)
		functions = append(functions, U32(index))
		if f.Export != "" {
			exports = append(exports, join(Text(f.Export), []byte{0}, U32(index)))
		}
		locals := f.Locals
		if locals == nil {
			locals = []byte{0}
		}
		code = append(code, sized(join(locals, f.Code, []byte{End})))
	}
	if !m.NoMemory {
		exports = append(exports, join(Text("memory"), []byte{2, 0}))
	}
	out = append(out, Section(1, Vector(types...))...)
	if len(imports) > 0 {
		out = append(out, Section(2, Vector(imports...))...)
	}
	out = append(out, Section(3, Vector(functions...))...)
	if m.Table > 0 {
		out = append(out, Section(4, Vector(join([]byte{0x70, 0}, U32(m.Table))))...)
	}
	if !m.NoMemory {
		limits := join([]byte{0}, U32(m.MinPages))
		if m.MaxPages > 0 {
			limits = join([]byte{1}, U32(m.MinPages), U32(m.MaxPages))
		}
		out = append(out, Section(5, Vector(limits))...)
	}
	out = append(out, Section(7, Vector(exports...))...)
	out = append(out, Section(10, Vector(code...))...)
	if len(m.Data) > 0 {
		var segments [][]byte
		for _, d := range m.Data {
			segments = append(segments, join([]byte{0}, Const(d.Offset), []byte{End}, sized(d.Bytes)))
		}
		out = append(out, Section(11, Vector(segments...))...)
	}
	if m.Custom != nil {
		out = append(out, Section(0, m.Custom)...)
	}
	return out
}

func functionType(params, results []byte) []byte {
	return join([]byte{0x60}, sized(params), sized(results))
}

// Section writes a section.
func Section(id byte, content []byte) []byte { return join([]byte{id}, sized(content)) }

// Vector writes a count and the entries.
func Vector(entries ...[]byte) []byte {
	return join(append([][]byte{U32(uint32(len(entries)))}, entries...)...)
}

// Text writes a name.
func Text(text string) []byte { return sized([]byte(text)) }

func sized(bytes []byte) []byte { return join(U32(uint32(len(bytes))), bytes) }

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// U32 writes an unsigned LEB128 number.
func U32(n uint32) []byte {
	var out []byte
	for n >= 0x80 {
		out = append(out, byte(n)|0x80)
		n >>= 7
	}
	return append(out, byte(n))
}

// Signed writes a signed LEB128 number.
func Signed(n int64) []byte {
	var out []byte
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}
