package wasmtest

// nameSection names some functions and locals, which need not be there. The compiler reads it.
func (g *random) nameSection() []byte {
	if g.upTo(4) > 0 {
		return nil
	}
	names := func() []byte {
		var entries [][]byte
		for range g.upTo(5) {
			entries = append(entries, join(U32(uint32(g.number())), Text("a\x1b[1mname")))
		}
		return Vector(entries...)
	}
	locals := Vector(join(U32(uint32(g.upTo(9))), names()), join(U32(uint32(g.number())), names()))
	return Section(0, join(Text("name"), Section(0, Text("module")), Section(1, names()), Section(2, locals), Section(9, g.bytes(3))))
}

// fuelTank is how often functions are entered and loops begun before a module with fuel ends itself.
const fuelTank = 500

func (g *random) globalSection() []byte {
	g.globals = []global{{I32, true}}
	globals := [][]byte{join([]byte{I32, 1}, Const(fuelTank), []byte{End})}
	for range g.upTo(5) {
		of, mutable := g.valueType(), g.upTo(2)
		g.globals = append(g.globals, global{of, mutable == 1})
		globals = append(globals, join([]byte{of, byte(mutable)}, g.constant(of, true), []byte{End}))
	}
	return Section(6, Vector(globals...))
}

func (g *random) tableSection() []byte {
	g.table = []byte{FuncRef, FuncRef, ExternRef}[g.upTo(3)]
	least := uint32([]int{8, 7, 9, 20, 0}[g.upTo(5)])
	return Section(4, Vector(join([]byte{g.table, 1}, U32(least), U32(least+uint32(g.upTo(200))))))
}

// elementSection writes a segment that declares every function, so that each may be referred to, and others of all kinds.
func (g *random) elementSection() []byte {
	all := [][]byte{}
	for i := range g.functions {
		all = append(all, U32(uint32(i)))
	}
	segments := [][]byte{join([]byte{3, 0}, Vector(all...))}
	g.elements = []byte{FuncRef}
	for range g.upTo(4) {
		kind, of := byte(g.upTo(8)), FuncRef
		segment := []byte{kind}
		if active := kind&1 == 0; active {
			if g.table != FuncRef { // an active segment has the table's type
				kind, of = 6, g.table
				segment = []byte{kind}
			}
			if kind&2 != 0 {
				segment = append(segment, 0)
			}
			at := g.upTo(2)
			if g.upTo(8) == 1 {
				at = g.upTo(24)
			}
			segment = join(segment, Const(int32(at)), []byte{End})
		} else if kind&4 != 0 {
			of = []byte{FuncRef, ExternRef}[g.upTo(2)]
		}
		var entries [][]byte
		for range g.upTo(5) {
			if kind&4 != 0 {
				entries = append(entries, join(g.constant(of, true), []byte{End}))
			} else {
				entries = append(entries, U32(uint32(g.upTo(len(g.functions)))))
			}
		}
		switch {
		case kind >= 5:
			segment = append(segment, of)
		case kind >= 1 && kind <= 3:
			segment = append(segment, 0)
		}
		segments = append(segments, join(segment, Vector(entries...)))
		g.elements = append(g.elements, of)
	}
	return Section(9, Vector(segments...))
}

// dataSection writes a passive segment and others of all kinds. Those that are active may lie outside memory.
func (g *random) dataSection() []byte {
	segments := [][]byte{join([]byte{1}, Text("model.layers.0.self_attn.q_proj.weight"))}
	for range g.upTo(4) {
		kind := byte(g.upTo(3))
		segment := []byte{kind}
		if kind == 2 {
			segment = append(segment, 0)
		}
		if kind != 1 {
			at := Const(int32(g.upTo(256)))
			if g.upTo(16) == 1 {
				at = Const(int32(g.number()))
			}
			segment = join(segment, at, []byte{End})
		}
		segments = append(segments, join(segment, Text("alpha a_metric A_CODE \x01\x02\x03")))
	}
	g.segments = make([]byte, len(segments))
	return Section(11, Vector(segments...))
}
