package sandbox

import (
	"bytes"
	"slices"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// functionsByName indexes the ABI.
var functionsByName = func() map[string]abi.Function {
	byName := make(map[string]abi.Function, len(abi.Functions))
	for _, f := range abi.Functions {
		byName[f.Name] = f
	}
	return byName
}()

// abiSignature is a function of the ABI as the binary format writes its type. Every function gives one i32.
func abiSignature(f abi.Function) signature {
	s := signature{results: []byte{byte(abi.I32)}}
	for _, p := range f.Params {
		s.params = append(s.params, byte(p))
	}
	return s
}

// checkImport holds one imported function against the ABI.
func (m *module) checkImport(from, name string, has signature) {
	switch from {
	case abi.Module:
		f, known := functionsByName[name]
		if !known {
			m.refuse("unknown import %q.%q: ABI %s has no such function", from, name, abi.Module)
			return
		}
		want := abiSignature(f)
		if !bytes.Equal(want.params, has.params) || !bytes.Equal(want.results, has.results) {
			m.refuse("import %s.%s is %v, the ABI has %v", from, name, has, want)
			return
		}
		m.asked = append(m.asked, f)
	case abi.WASIModule:
		// The types of WASI functions are checked when the module is linked with them.
		if !slices.Contains(abi.WASI, name) {
			m.refuse("unknown import %q.%q: not a part of WASI that a guest may use", from, name)
		}
	default:
		m.refuse("unknown import %q.%q %v: modules import %s and a part of %s only", from, name, has, abi.Module, abi.WASIModule)
	}
}

// checkExports holds the exports against the ABI.
func (m *module) checkExports() {
	switch {
	case m.memories == 0:
		m.refuse("no memory of its own: export one as %q", abi.ExportMemory)
	case !m.hasMemory:
		m.refuse("missing export %q, the module's memory", abi.ExportMemory)
	}
	m.checkExport(abi.ExportMarker, nil, true)
	m.checkExport(abi.ExportDiagnose, []byte{byte(abi.I32)}, true)
	m.checkExport(abi.ExportInitialize, nil, false)
	if _, command := m.exports["_start"]; command {
		m.refuse("export \"_start\": a command, not a reactor; build it as a reactor (Go: -buildmode=c-shared)")
	}
}

func (m *module) checkExport(name string, results []byte, needed bool) {
	want := signature{results: results}
	index, there := m.exports[name]
	switch {
	case !there && needed:
		m.refuse("missing export %q %v", name, want)
	case there && int(index) < m.imports:
		m.refuse("export %q is an imported function", name)
	case there:
		if has := m.types[m.functions[index]]; len(has.params) > 0 || !bytes.Equal(has.results, results) {
			m.refuse("export %q is %v, the ABI has %v", name, has, want)
		}
	}
}
