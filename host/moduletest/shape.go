package moduletest

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// Shape is what a WebAssembly file says of itself, read without compiling or running it.
type Shape struct {
	Imports    []Import
	Exports    []Export // sorted as in the file
	Memory     Memory
	Functions  int // of its own
	CodeBytes  int
	DataBytes  int
	CustomSize int // bytes of custom sections, such as names and debug information
}

// Import is an imported function.
type Import struct{ Module, Name, Signature string }

// Export is an exported thing; Signature is "memory", "global" or "table" where it is no function.
type Export struct{ Name, Signature string }

// Memory is the linear memory, in pages of 64 KiB. MaxPages is 0 where the module names none.
type Memory struct{ MinPages, MaxPages uint64 }

// Capabilities are the capabilities of what the module imports, in the order of the ABI.
func (s *Shape) Capabilities() []abi.Capability {
	var all []abi.Capability
	for _, f := range abi.Functions {
		if f.Capability == abi.CapNone || slices.Contains(all, f.Capability) {
			continue
		}
		if slices.ContainsFunc(s.Imports, func(i Import) bool { return i.Module == abi.Module && i.Name == f.Name }) {
			all = append(all, f.Capability)
		}
	}
	return all
}

var errCut = errors.New("the file is cut off or its sections do not fit together")

// maxListed bounds the imports and exports that are read; the sandbox refuses more.
const maxListed = 10_000

// ReadShape reads the sections of a WebAssembly file. It believes nothing that is not there and looks into no function; whether the module can
// run is for sandbox.Precheck to say.
func ReadShape(wasm []byte) (*Shape, error) {
	if len(wasm) < 8 || string(wasm[:8]) != "\x00asm\x01\x00\x00\x00" {
		return nil, errors.New("not a WebAssembly module: it does not start with \\0asm and version 1")
	}
	r, s := &shapeReader{rest: wasm[8:]}, &Shape{}
	for len(r.rest) > 0 && !r.cut {
		id := r.byte()
		body := r.take(r.u32())
		inner := &shapeReader{rest: body}
		switch id {
		case 0:
			s.CustomSize += len(body)
		case 1:
			r.types = inner.signatures()
		case 2:
			inner.types = r.types
			s.Imports = inner.imports(&r.functions, &s.Memory)
		case 3:
			for n := inner.count(); n > 0 && !inner.cut; n-- {
				r.functions = append(r.functions, inner.u32())
				s.Functions++
			}
		case 5:
			if inner.count() > 0 {
				s.Memory = inner.limits()
			}
		case 7:
			inner.types, inner.functions = r.types, r.functions
			s.Exports = inner.exports()
		case 10:
			s.CodeBytes = len(body)
		case 11:
			s.DataBytes = len(body)
		}
		r.cut = r.cut || inner.cut
	}
	if r.cut {
		return nil, errCut
	}
	return s, nil
}

// shapeReader reads forward; after something that does not fit it gives zeros.
type shapeReader struct {
	rest      []byte
	cut       bool
	types     []string
	functions []uint32 // type indices, imported ones first
}

func (r *shapeReader) take(n uint32) []byte {
	if r.cut || uint64(n) > uint64(len(r.rest)) {
		r.cut = true
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *shapeReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *shapeReader) u64() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.cut || n <= 0 {
		r.cut = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *shapeReader) u32() uint32 {
	v := r.u64()
	if v > 1<<32-1 {
		r.cut = true
		return 0
	}
	return uint32(v)
}

// count reads how many entries follow, each of which has a byte at least.
func (r *shapeReader) count() uint32 {
	n := r.u32()
	if uint64(n) > uint64(len(r.rest)) {
		r.cut = true
		return 0
	}
	return n
}

func (r *shapeReader) text() string { return string(r.take(r.u32())) }

func (r *shapeReader) limits() Memory {
	flags := r.u32()
	m := Memory{MinPages: r.u64()}
	if flags&1 != 0 {
		m.MaxPages = r.u64()
	}
	return m
}

var valueTypes = map[byte]string{0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64", 0x7b: "v128", 0x70: "funcref", 0x6f: "externref"}

func (r *shapeReader) signatures() []string {
	var all []string
	for n := r.count(); n > 0 && !r.cut; n-- {
		if r.byte() != 0x60 {
			r.cut = true
		}
		var sides [2]string
		for i := range sides {
			var types []string
			for _, t := range r.take(r.u32()) {
				name, known := valueTypes[t]
				if !known {
					name = "type 0x" + strconv.FormatUint(uint64(t), 16)
				}
				types = append(types, name)
			}
			sides[i] = "(" + strings.Join(types, ", ") + ")"
		}
		all = append(all, sides[0]+" -> "+sides[1])
	}
	return all
}

func (r *shapeReader) imports(functions *[]uint32, memory *Memory) []Import {
	var all []Import
	for n := r.count(); n > 0 && !r.cut; n-- {
		i := Import{Module: r.text(), Name: r.text()}
		switch r.byte() {
		case 0:
			t := r.u32()
			*functions = append(*functions, t)
			i.Signature = r.signature(t)
		case 1:
			i.Signature = "table"
			r.byte()
			r.limits()
		case 2:
			i.Signature = "memory"
			*memory = r.limits()
		case 3:
			i.Signature = "global"
			r.take(2)
		default:
			r.cut = true
		}
		if len(all) < maxListed {
			all = append(all, i)
		}
	}
	return all
}

func (r *shapeReader) exports() []Export {
	var all []Export
	for n := r.count(); n > 0 && !r.cut; n-- {
		e := Export{Name: r.text()}
		kind, index := r.byte(), r.u32()
		switch kind {
		case 0:
			e.Signature = "?"
			if uint64(index) < uint64(len(r.functions)) {
				e.Signature = r.signature(r.functions[index])
			}
		case 1:
			e.Signature = "table"
		case 2:
			e.Signature = "memory"
		default:
			e.Signature = "global"
		}
		if len(all) < maxListed {
			all = append(all, e)
		}
	}
	return all
}

func (r *shapeReader) signature(t uint32) string {
	if uint64(t) < uint64(len(r.types)) {
		return r.types[t]
	}
	return "?"
}
