package pickle

import (
	"bytes"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// storages are PyTorch's storage classes, by name in the module torch.
var storages = map[string]tensor.DType{
	"DoubleStorage": tensor.F64, "FloatStorage": tensor.F32, "HalfStorage": tensor.F16, "BFloat16Storage": tensor.BF16,
	"LongStorage": tensor.I64, "IntStorage": tensor.I32, "ShortStorage": tensor.I16, "CharStorage": tensor.I8, "ByteStorage": tensor.U8,
	"BoolStorage": tensor.Bool,
}

// The functions that a state dict calls.
var (
	orderedDict      = global{"collections", "OrderedDict"}
	rebuildTensor    = global{"torch._utils", "_rebuild_tensor_v2"}
	rebuildParameter = global{"torch._utils", "_rebuild_parameter"}
)

// known reports whether a name is one of those that are interpreted.
func (g global) known() bool {
	if g.module == "torch" {
		_, ok := storages[g.name]
		return ok
	}
	return g == orderedDict || g == rebuildTensor || g == rebuildParameter
}

// global reads a name. One that is not interpreted is refused here, where it is named: whether it would have been called is not waited for.
func (m *machine) global(op byte) *fault.Error {
	var g global
	if op == opStackGlobal {
		name, refused := m.pop()
		if refused != nil {
			return refused
		}
		module, refused := m.pop()
		if refused != nil {
			return refused
		}
		var isName, isModule bool
		g.name, isName = name.(string)
		g.module, isModule = module.(string)
		if !isName || !isModule {
			return m.refuse("a global without a name")
		}
	} else {
		var refused *fault.Error
		if g.module, refused = m.line(); refused != nil {
			return refused
		}
		if g.name, refused = m.line(); refused != nil {
			return refused
		}
	}
	if !g.known() {
		return m.refuse("it asks for %s, which is no part of a tensor: whoever loads this file runs that", shown(g.module+"."+g.name))
	}
	m.push(g)
	return nil
}

// line reads to the end of a line.
func (m *machine) line() (string, *fault.Error) {
	end := bytes.IndexByte(m.text[m.next:], '\n')
	if end < 0 {
		return "", m.refuse("the pickle ends within an opcode")
	}
	text, refused := m.bytes(uint64(end) + 1)
	return strings.TrimSuffix(string(text), "\n"), refused
}

// stored is a storage that a tensor lies in.
type stored struct {
	key      string // the file in the archive
	dtype    tensor.DType
	elements int64
}

// persistent reads what PyTorch writes for a storage: ("storage", class, key, device, elements).
func (m *machine) persistent() *fault.Error {
	v, refused := m.pop()
	if refused != nil {
		return refused
	}
	id, isTuple := v.(tuple)
	if !isTuple || len(id) != 5 || id[0] != any("storage") {
		return m.refuse("a persistent id that names no storage")
	}
	class, isClass := id[1].(global)
	key, isKey := id[2].(string)
	elements, isCount := id[4].(int64)
	dtype, isStorage := storages[class.name]
	if !isClass || class.module != "torch" || !isStorage || !isKey || !isCount || elements < 0 {
		return m.refuse("a storage that is not described as PyTorch does")
	}
	m.push(stored{key: key, dtype: dtype, elements: elements})
	return nil
}

// reduce interprets a call.
func (m *machine) reduce() *fault.Error {
	v, refused := m.pop()
	if refused != nil {
		return refused
	}
	of, refused := m.pop()
	if refused != nil {
		return refused
	}
	function, isGlobal := of.(global)
	arguments, isTuple := v.(tuple)
	if !isGlobal || !isTuple {
		return m.refuse("a call of what is no function")
	}
	switch function {
	case orderedDict:
		if len(arguments) != 0 {
			return m.refuse("OrderedDict is called with arguments")
		}
		m.push(&dict{})
	case rebuildTensor:
		return m.rebuild(arguments)
	case rebuildParameter:
		if len(arguments) != 3 {
			return m.refuse("_rebuild_parameter is called with %d arguments", len(arguments))
		}
		t, isTensor := arguments[0].(strided)
		if !isTensor {
			return m.refuse("a parameter of no tensor")
		}
		m.push(t)
	default:
		return m.refuse("%s is called", shown(function.module+"."+function.name))
	}
	return nil
}

// build takes the attributes of an OrderedDict, of which a state dict has one, the versions of its modules. They change no tensor.
func (m *machine) build() *fault.Error {
	state, refused := m.pop()
	if refused != nil {
		return refused
	}
	if len(m.stack) == 0 {
		return m.refuse("the stack is empty")
	}
	attributes, isDict := state.(*dict)
	if _, of := m.stack[len(m.stack)-1].(*dict); !of || !isDict {
		return m.refuse("attributes of what has none")
	}
	for _, key := range attributes.keys {
		if key != any("_metadata") {
			return m.refuse("a state dict has an attribute that is no _metadata")
		}
	}
	return nil
}
