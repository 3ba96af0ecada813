package wasmtest

import "slices"

// blockType chooses a type of a block and returns it as written, with its parameters and results.
func (g *random) blockType() (written, params, results []byte) {
	switch g.upTo(3) {
	case 0:
		return []byte{0x40}, nil, nil
	case 1:
		t := g.valueType()
		return []byte{t}, nil, []byte{t}
	default:
		i := g.upTo(len(g.types))
		return Signed(int64(i)), g.types[i][0], g.types[i][1]
	}
}

// blockValue pushes a value out of a block, a loop or two branches of an if.
func (g *random) blockValue(of byte, depth int) {
	switch g.upTo(3) {
	case 0:
		g.emit(byte(0x02), of)
		g.inside([]byte{of}, nil, []byte{of}, depth)
	case 1:
		g.emit(byte(0x03), of)
		g.burn()
		g.inside(nil, nil, []byte{of}, depth)
	default:
		g.value(I32, depth+1)
		g.emit(byte(0x04), of)
		g.inside([]byte{of}, nil, []byte{of}, depth)
		g.code[len(g.code)-1] = Else
		g.inside([]byte{of}, nil, []byte{of}, depth)
	}
}

// inside writes what stands in a block whose label carries what is given, and its end.
func (g *random) inside(label, params, results []byte, depth int) {
	g.labels = append(g.labels, label)
	if g.upTo(3) == 1 && g.left > 0 { // while the parameters wait
		g.statement(depth + 1)
	}
	g.away(params)
	for range g.upTo(4) {
		g.statement(depth + 1)
	}
	g.values(results, depth)
	g.labels = g.labels[:len(g.labels)-1]
	g.emit(End)
}

// away takes values of the types from the stack.
func (g *random) away(types []byte) {
	for _, of := range slices.Backward(types) {
		if at := slices.Index(g.locals, of); at >= 0 && g.upTo(2) == 1 {
			g.emit(Set(uint32(at)))
		} else {
			g.emit(Drop)
		}
	}
}

// statement writes something that leaves the stack as it was.
func (g *random) statement(depth int) {
	g.left--
	if g.left < 0 || depth > deepest {
		g.emit(Nop)
		return
	}
	switch g.upTo(16) {
	case 0:
		t := g.valueType()
		g.value(t, depth+1)
		g.away([]byte{t})
	case 1, 2:
		if len(g.locals) > 0 {
			at := g.upTo(len(g.locals))
			g.value(g.locals[at], depth+1)
			g.emit(Set(uint32(at)))
		}
	case 3:
		if at := g.upTo(len(g.globals)); g.globals[at].mutable && (at > 0 || !g.fuel) {
			g.value(g.globals[at].of, depth+1)
			g.emit(byte(0x24), U32(uint32(at)))
		}
	case 4, 5:
		g.store(depth)
	case 6, 7, 8:
		g.block(depth)
	case 9:
		g.branch(depth)
	case 10:
		g.bulk(depth)
	case 11:
		g.tables(depth)
	case 12:
		if g.table == FuncRef {
			t := g.upTo(len(g.types))
			g.values(g.types[t][0], depth)
			g.index(depth)
			g.emit(byte(0x11), U32(uint32(t)), byte(0))
			g.away(g.types[t][1])
		}
	default:
		at := g.upTo(len(g.functions))
		g.arguments(at, depth)
		g.emit(Call(uint32(at)))
		g.away(g.types[g.functions[at]][1])
	}
}

// block writes a block, a loop or an if, with parameters and results.
func (g *random) block(depth int) {
	written, params, results := g.blockType()
	g.values(params, depth)
	switch g.upTo(4) {
	case 0:
		g.emit(byte(0x02), written)
		g.inside(results, params, results, depth)
	case 1:
		g.emit(byte(0x03), written)
		g.burn()
		g.inside(params, params, results, depth)
	default:
		g.value(I32, depth+1)
		g.emit(byte(0x04), written)
		g.inside(results, params, results, depth)
		if string(params) != string(results) || g.upTo(2) == 1 {
			g.code[len(g.code)-1] = Else
			g.inside(results, params, results, depth)
		}
	}
	g.away(results)
}

// branch leaves the blocks around, always or not.
func (g *random) branch(depth int) {
	to := g.upTo(len(g.labels))
	label := g.labels[len(g.labels)-1-to]
	switch g.upTo(5) {
	case 0:
		g.values(label, depth)
		g.value(I32, depth+1)
		g.emit(BrIf(uint32(to)))
		g.away(label)
		return
	case 1:
		g.values(label, depth)
		g.emit(Br(uint32(to)))
	case 2:
		var same []uint32
		for i := range g.labels {
			if string(g.labels[len(g.labels)-1-i]) == string(label) {
				same = append(same, uint32(i))
			}
		}
		targets := make([]uint32, g.upTo(10))
		for i := range targets {
			targets[i] = same[g.upTo(len(same))]
		}
		g.values(label, depth)
		g.value(I32, depth+1)
		g.emit(BrTable(targets, uint32(to)))
	case 3:
		g.values(g.labels[0], depth)
		g.emit(Return)
	default:
		g.emit(Unreachable)
	}
	// What follows is never reached and must validate all the same, with operands out of nowhere.
	for range g.upTo(4) {
		g.compute(operations[g.upTo(len(operations))])
		g.emit(Drop)
	}
}

func (g *random) store(depth int) {
	a := stores[g.upTo(len(stores))]
	g.address(depth)
	g.value(a.value, depth+1)
	g.access(a)
}

// bulk writes an operation on a range of memory.
func (g *random) bulk(depth int) {
	if g.upTo(5) == 1 {
		g.emit([]byte{prefixMisc, 9}, U32(uint32(g.upTo(len(g.segments))))) // data.drop
		return
	}
	switch g.upTo(3) {
	case 0:
		g.address(depth)
		g.index(depth)
		g.index(depth)
		g.emit([]byte{prefixMisc, 8}, U32(uint32(g.upTo(len(g.segments)))), byte(0)) // memory.init
	case 1:
		g.address(depth)
		g.address(depth)
		g.address(depth)
		g.emit([]byte{prefixMisc, 10, 0, 0}) // memory.copy
	default:
		g.address(depth)
		g.value(I32, depth+1)
		g.address(depth)
		g.emit([]byte{prefixMisc, 11, 0}) // memory.fill
	}
}

// tables writes an operation on the table.
func (g *random) tables(depth int) {
	switch g.upTo(5) {
	case 0:
		g.index(depth)
		g.value(g.table, depth+1)
		g.emit([]byte{0x26, 0}) // table.set
	case 1:
		g.index(depth)
		g.value(g.table, depth+1)
		g.index(depth)
		g.emit([]byte{prefixMisc, 17, 0}) // table.fill
	case 2:
		g.index(depth)
		g.index(depth)
		g.index(depth)
		g.emit([]byte{prefixMisc, 14, 0, 0}) // table.copy
	case 3:
		at := g.upTo(len(g.elements))
		if g.elements[at] == g.table {
			g.index(depth)
			g.index(depth)
			g.index(depth)
			g.emit([]byte{prefixMisc, 12}, U32(uint32(at)), byte(0)) // table.init
			return
		}
		g.emit([]byte{prefixMisc, 13}, U32(uint32(at))) // elem.drop
	default:
		g.emit([]byte{prefixMisc, 13}, U32(uint32(g.upTo(len(g.elements))))) // elem.drop
	}
}
