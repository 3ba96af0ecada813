package wasmtest

// deepest is how deep values and blocks of a random module lie in each other.
const deepest = 12

func (g *random) emit(parts ...any) { g.code = append(g.code, Code(parts...)...) }

// body writes locals and code of a function.
func (g *random) body(params, results []byte) []byte {
	var groups [][]byte
	g.locals = append([]byte(nil), params...)
	for range g.upTo(5) {
		of, n := g.valueType(), 1+g.upTo(4)
		if g.upTo(16) == 1 {
			n = 1 + 4*g.upTo(256)
		}
		groups = append(groups, join(U32(uint32(n)), []byte{of}))
		for range n {
			g.locals = append(g.locals, of)
		}
	}
	g.code = nil
	g.labels = [][]byte{results}
	g.burn()
	for range 1 + g.upTo(8) {
		start := len(g.code)
		g.statement(0)
		if one := g.code[start:]; g.upTo(16) == 1 && len(one) < 500 { // a statement can stand any number of times
			g.emit(Repeat(g.upTo(64), one))
		}
	}
	g.values(results, 0)
	return join(Vector(groups...), g.code, []byte{End})
}

// burn uses a unit of fuel, and ends the run when there is none.
func (g *random) burn() {
	if g.fuel {
		get, set := []byte{0x23, 0}, []byte{0x24, 0}
		g.emit(get, Const(1), I32Sub, set, get, Const(0), I32LtS, If(), Unreachable, End)
	}
}

// values pushes a value of each type.
func (g *random) values(types []byte, depth int) {
	for _, t := range types {
		g.value(t, depth+1)
	}
}

// value pushes a value of a type.
func (g *random) value(of byte, depth int) {
	g.left--
	if g.left < 0 || depth > deepest {
		g.emit(g.constant(of, false))
		return
	}
	switch g.upTo(16) {
	case 0:
		g.emit(g.constant(of, false))
	case 1, 2:
		if !g.local(of) {
			g.emit(g.constant(of, false))
		}
	case 3:
		g.globalValue(of)
	case 4:
		g.blockValue(of, depth)
	case 5:
		g.value(of, depth+1)
		g.value(of, depth+1)
		g.value(I32, depth+1)
		if of == FuncRef || of == ExternRef || g.upTo(4) == 1 {
			g.emit(byte(0x1c), byte(1), of)
		} else {
			g.emit(byte(0x1b))
		}
	case 6:
		if !g.callFor(of, depth) {
			g.operation(of, depth)
		}
	case 7, 8:
		g.load(of, depth)
	default:
		g.operation(of, depth)
	}
}

// local pushes a local of a type, as it is or with a new value, if there is one.
func (g *random) local(of byte) bool {
	if len(g.locals) == 0 {
		return false
	}
	start := g.upTo(len(g.locals))
	for i := range g.locals {
		if at := (start + i) % len(g.locals); g.locals[at] == of {
			if g.upTo(4) == 1 {
				g.emit(g.constant(of, false), Tee(uint32(at)))
			} else {
				g.emit(Get(uint32(at)))
			}
			return true
		}
	}
	return false
}

func (g *random) globalValue(of byte) {
	start := g.upTo(len(g.globals))
	for i := range g.globals {
		if at := (start + i) % len(g.globals); g.globals[at].of == of {
			g.emit(byte(0x23), U32(uint32(at)))
			return
		}
	}
	g.emit(g.constant(of, false))
}

// callFor calls a function whose one result is of a type, if there is one.
func (g *random) callFor(of byte, depth int) bool {
	start := g.upTo(len(g.functions))
	for i := range g.functions {
		at := (start + i) % len(g.functions)
		if t := g.types[g.functions[at]]; string(t[1]) == string([]byte{of}) {
			g.arguments(at, depth)
			g.emit(Call(uint32(at)))
			return true
		}
	}
	return false
}

// arguments pushes what function n takes. Those of imports are often small: handles, targets, addresses and lengths.
func (g *random) arguments(n, depth int) {
	for _, t := range g.types[g.functions[n]][0] {
		if t == I32 && n < g.imports && g.upTo(4) > 0 {
			g.emit(Const(int32([]int{0, 1, 2, 3, 16, 64, 1024, -1}[g.upTo(8)])))
			continue
		}
		g.value(t, depth+1)
	}
}

// operation pushes the result of an instruction that computes.
func (g *random) operation(of byte, depth int) {
	if of == FuncRef || of == ExternRef {
		if of == g.table && g.upTo(2) == 1 {
			g.index(depth)
			g.emit(byte(0x25), byte(0)) // table.get
			return
		}
		if !g.local(of) {
			g.emit(g.constant(of, false))
		}
		return
	}
	if of == V128 && g.upTo(16) == 1 {
		g.value(V128, depth+1)
		g.value(V128, depth+1)
		lanes := g.bytes(16)
		for i := range lanes {
			lanes[i] %= 32
		}
		g.emit([]byte{prefixSIMD, 13}, lanes)
		return
	}
	if of == I32 && g.upTo(12) == 1 {
		g.special(depth)
		return
	}
	for start, i := g.upTo(len(operations)), 0; ; i++ {
		o := operations[(start+i)%len(operations)]
		if o.result != of {
			continue
		}
		for _, p := range []byte(o.params) {
			g.value(letter(p), depth+1)
		}
		g.compute(o)
		return
	}
}

// compute writes one of the instructions of o.
func (g *random) compute(o operation) {
	g.instruction(o.prefix, o.first+uint32(g.upTo(int(o.last-o.first)+1)))
	if o.lanes > 0 {
		g.emit(byte(g.upTo(int(o.lanes))))
	}
}

func (g *random) instruction(prefix byte, code uint32) {
	if prefix == 0 {
		g.emit(byte(code))
	} else {
		g.emit(prefix, U32(code))
	}
}

// special pushes an i32 that no other instruction gives.
func (g *random) special(depth int) {
	switch g.upTo(5) {
	case 0:
		g.emit([]byte{0x3f, 0}) // memory.size
	case 1:
		g.emit(Const(int32(g.upTo(3))), []byte{0x40, 0}) // memory.grow
	case 2:
		g.emit([]byte{prefixMisc, 16, 0}) // table.size
	case 3:
		g.value(g.table, depth+1)
		g.value(I32, depth+1)
		g.emit([]byte{prefixMisc, 15, 0}) // table.grow
	default:
		of := []byte{FuncRef, ExternRef}[g.upTo(2)]
		g.value(of, depth+1)
		g.emit(byte(0xd1)) // ref.is_null
	}
}

// address pushes an address, mostly one in memory.
func (g *random) address(depth int) {
	if g.upTo(8) == 1 {
		g.value(I32, depth+1)
		return
	}
	if g.upTo(2) == 1 {
		g.value(I32, depth+1)
		g.emit(Const(0x3ff8), byte(0x71)) // i32.and
		return
	}
	g.emit(Const(int32(16 * g.upTo(256))))
}

// index pushes an index into the table or a small count, mostly one that fits.
func (g *random) index(depth int) {
	if g.upTo(8) == 1 {
		g.value(I32, depth+1)
		return
	}
	g.emit(Const(int32(g.upTo(4))))
}

func (g *random) memoryArgument(align byte) {
	offset := uint32(g.upTo(256))
	if g.upTo(32) == 1 {
		offset = uint32(g.number())
	}
	g.emit(byte(g.upTo(int(align)+1)), U32(offset))
}

// load pushes a value from memory; of a type that memory does not hold, another value.
func (g *random) load(of byte, depth int) {
	if of == FuncRef || of == ExternRef {
		g.operation(of, depth)
		return
	}
	for start, i := g.upTo(len(loads)), 0; ; i++ {
		a := loads[(start+i)%len(loads)]
		if a.value != of {
			continue
		}
		g.address(depth)
		if a.lanes > 0 {
			g.value(V128, depth+1)
		}
		g.access(a)
		return
	}
}

func (g *random) access(a access) {
	g.instruction(a.prefix, a.first+uint32(g.upTo(int(a.last-a.first)+1)))
	g.memoryArgument(a.align)
	if a.lanes > 0 {
		g.emit(byte(g.upTo(int(a.lanes))))
	}
}
