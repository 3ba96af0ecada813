package wasmtest

import (
	"hash/fnv"
	"math/rand/v2"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// Random makes a module that validates out of any bytes: it uses all of core WebAssembly 2.0, calls the ABI and WASI with arguments that
// make sense and that do not, and fits the ABI. The bytes are its choices, so that a fuzzer that changes one changes the module a little;
// when they are used up, the choices go on at random, from a seed that the bytes give. The first byte says how large the module becomes.
func Random(seed []byte) []byte {
	h := fnv.New64a()
	_, _ = h.Write(seed)
	g := &random{choices: seed, beyond: rand.New(rand.NewPCG(h.Sum64(), 1))}
	g.left = 20 + 12*g.upTo(256)
	g.fuel = g.upTo(64) > 0
	return g.module()
}

// random is a module on its way.
type random struct {
	choices []byte
	beyond  *rand.Rand
	left    int  // instructions it may still have
	fuel    bool // whether global 0 counts down and ends it

	types     [][2][]byte // parameters and results
	functions []int       // type of each, imported ones first
	imports   int
	globals   []global
	table     byte // type of its entries
	segments  []byte
	elements  []byte // type of each segment's entries

	locals []byte
	labels [][]byte // what a branch to each open block carries, the innermost last
	code   []byte
}

type global struct {
	of      byte
	mutable bool
}

// upTo chooses a number below n, which is at most 256. The fewest bytes choose 0.
func (g *random) upTo(n int) int {
	if len(g.choices) == 0 {
		return g.beyond.IntN(n)
	}
	choice := int(g.choices[0])
	g.choices = g.choices[1:]
	return choice % n
}

// number chooses an i64, often a small one or one at an edge.
func (g *random) number() int64 {
	switch g.upTo(6) {
	case 0:
		return int64(g.upTo(8))
	case 1:
		return int64(g.upTo(256)) << g.upTo(16)
	case 2:
		return -int64(g.upTo(256))
	case 3:
		edges := []int64{65535, 65536, 1<<31 - 1, -1 << 31, 1<<32 - 1, 1<<63 - 1, -1 << 63, 1 << 20}
		return edges[g.upTo(len(edges))]
	default:
		return int64(g.upTo(256))<<8 | int64(g.upTo(256))
	}
}

var (
	numbers    = []byte{I32, I64, F32, F64, V128}
	valueTypes = []byte{I32, I64, F32, F64, V128, FuncRef, ExternRef}
)

func (g *random) valueType() byte { return valueTypes[g.upTo(len(valueTypes))] }

func (g *random) typeList(most int) []byte {
	list := make([]byte, g.upTo(most+1))
	for i := range list {
		list[i] = g.valueType()
	}
	return list
}

// wasiTypes are parameters of the WASI functions a guest may import, a letter each. All but proc_exit give an i32.
var wasiTypes = map[string]string{
	"args_get": "ii", "args_sizes_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii", "clock_time_get": "ili", "random_get": "ii",
	"fd_write": "iiii", "fd_close": "i", "fd_seek": "ilii", "fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_prestat_get": "ii",
	"fd_prestat_dir_name": "iii", "sched_yield": "", "poll_oneoff": "iiii", "proc_exit": "i",
}

// addType returns the index of a type, which is made where it is not there.
func (g *random) addType(params, results []byte) int {
	for i, t := range g.types {
		if string(t[0]) == string(params) && string(t[1]) == string(results) {
			return i
		}
	}
	g.types = append(g.types, [2][]byte{params, results})
	return len(g.types) - 1
}

// importSection chooses functions of the ABI and of WASI, some of them twice.
func (g *random) importSection() []byte {
	var imports [][]byte
	add := func(module, name string, params, results []byte) {
		t := g.addType(params, results)
		g.functions = append(g.functions, t)
		imports = append(imports, join(Text(module), Text(name), []byte{0}, U32(uint32(t))))
	}
	for range g.upTo(9) {
		f := abi.Functions[g.upTo(len(abi.Functions))]
		h := Host(f.Name)[0]
		add(h.Module, h.Name, h.Params, h.Results)
	}
	for range g.upTo(4) {
		name := abi.WASI[g.upTo(len(abi.WASI))]
		var params, results []byte
		for _, l := range []byte(wasiTypes[name]) {
			params = append(params, letter(l))
		}
		if name != "proc_exit" {
			results = []byte{I32}
		}
		add(abi.WASIModule, name, params, results)
	}
	g.imports = len(imports)
	return Section(2, Vector(imports...))
}

// module writes all sections.
func (g *random) module() []byte {
	marker, diagnose := g.addType(nil, nil), g.addType(nil, []byte{I32})
	for range g.upTo(6) {
		most := 4
		if g.upTo(16) == 1 {
			most = 60
		}
		g.addType(g.typeList(most), g.typeList(most-1))
	}
	imports := g.importSection()
	first := len(g.functions)
	g.functions = append(g.functions, marker, diagnose)
	exports := [][]byte{join(Text("memory"), []byte{2, 0}), join(Text("tenon_abi_1"), []byte{0}, U32(uint32(first))),
		join(Text("diagnose"), []byte{0}, U32(uint32(first+1)))}
	if g.upTo(4) == 1 {
		exports = append(exports, join(Text("_initialize"), []byte{0}, U32(uint32(len(g.functions)))))
		g.functions = append(g.functions, marker)
	}
	for range g.upTo(5) {
		g.functions = append(g.functions, g.upTo(len(g.types)))
	}
	if g.upTo(4) == 1 {
		exports = append(exports, join(Text("a table"), []byte{1, 0}), join(Text(""), []byte{3, 0}))
	}
	globals, table := g.globalSection(), g.tableSection()
	elements, data := g.elementSection(), g.dataSection()
	memory := []byte{0, 1}
	if g.upTo(3) == 1 {
		memory = join([]byte{1}, U32(uint32([]int{1, 2, 1, 0}[g.upTo(4)])), U32(uint32(2+g.upTo(100))))
	}
	var declared, bodies [][]byte
	for _, t := range g.functions[g.imports:] {
		declared = append(declared, U32(uint32(t)))
		bodies = append(bodies, sized(g.body(g.types[t][0], g.types[t][1])))
	}
	var types [][]byte
	for _, t := range g.types {
		types = append(types, functionType(t[0], t[1]))
	}
	return join([]byte("\x00asm\x01\x00\x00\x00"), Section(1, Vector(types...)), imports, Section(3, Vector(declared...)), table,
		Section(5, Vector(memory)), globals, Section(7, Vector(exports...)), elements, Section(12, U32(uint32(len(g.segments)))),
		Section(10, Vector(bodies...)), data, g.nameSection())
}

// constant pushes a constant of a type. In a constant expression only of what is allowed there.
func (g *random) constant(of byte, expression bool) []byte {
	switch of {
	case I32:
		return Const(int32(g.number()))
	case I64:
		return Const64(g.number())
	case F32:
		return join([]byte{0x43}, g.bytes(4))
	case F64:
		return join([]byte{0x44}, g.bytes(8))
	case V128:
		return join([]byte{prefixSIMD, 12}, g.bytes(16))
	}
	if of == FuncRef && len(g.functions) > 0 && g.upTo(2) == 1 {
		return join([]byte{0xd2}, U32(uint32(g.upTo(len(g.functions)))))
	}
	return []byte{0xd0, of}
}

// bytes chooses n bytes, all of one kind or not.
func (g *random) bytes(n int) []byte {
	out := make([]byte, n)
	first, same := byte(g.upTo(256)), g.upTo(3) > 0
	for i := range out {
		out[i] = first
		if !same {
			first = byte(g.upTo(256))
		}
	}
	return out
}
