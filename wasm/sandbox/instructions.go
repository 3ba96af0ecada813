package sandbox

// codeSection walks every instruction of every body. It does not check types, which the compiler's validator does in linear time; it
// bounds what makes that validator and the compiler slow or greedy.
func (m *module) codeSection() {
	n := m.count("bodies", 3, maxFunctions)
	m.bodies = n
	whole := m.end
	for i := 0; i < n && m.err == nil; i++ {
		size := m.count("bytes of a body", 1, maxBody)
		m.end = m.at + size
		m.startFunction(i)
		m.localDeclarations()
		m.body()
		m.end = whole
	}
}

// localDeclarations sums the locals: a few bytes can claim 2^32-1 of them, and the compiler's decoder would allocate them.
func (m *module) localDeclarations() {
	groups := m.count("groups of locals", 2, maxLocals)
	locals := 0
	for i := 0; i < groups && m.err == nil; i++ {
		n := m.u32()
		m.valueType()
		if m.err == nil && int64(n) > int64(maxLocals-locals) {
			m.failf("more than %d locals in a function", maxLocals)
			return
		}
		locals += int(n)
	}
	m.function.locals += locals
	if m.locals += locals; m.err == nil && m.locals > maxLocalsInAll {
		m.failf("more than %d locals in all functions", maxLocalsInAll)
	}
}

// body walks the instructions up to the end of the body, which must be the end that closes the function.
func (m *module) body() {
	for len(m.labels) > 0 && m.err == nil {
		switch op := m.byte(); {
		case m.err != nil:
		case op == opBlock || op == opLoop || op == opIf:
			m.openBlock(op)
		case op == opEnd:
			m.labels = m.labels[:len(m.labels)-1]
		default:
			m.immediates(op)
		}
	}
	if m.err == nil && m.at != m.end {
		m.failf("%d bytes after the end of a function", m.left())
	}
}

// The opcodes the walk treats by name.
const (
	opBlock     = 0x02
	opLoop      = 0x03
	opIf        = 0x04
	opElse      = 0x05
	opEnd       = 0x0b
	opBr        = 0x0c
	opBrIf      = 0x0d
	opBrTable   = 0x0e
	opReturn    = 0x0f
	opCall      = 0x10
	opCallTable = 0x11
	opSelect    = 0x1c
	opI32Const  = 0x41
	opI64Const  = 0x42
	opF32Const  = 0x43
	opF64Const  = 0x44
	opRefNull   = 0xd0
	opRefFunc   = 0xd2
	opGlobalGet = 0x23
	prefixMisc  = 0xfc
	prefixSIMD  = 0xfd
)

// immediates passes what follows an opcode, or refuses the opcode with the name of the feature it belongs to.
func (m *module) immediates(op byte) {
	switch {
	case op <= 0x01, op == opElse, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
	case op >= 0x20 && op <= 0x26, op == opRefFunc:
		m.u32()
	case op == opReturn:
		m.moves(m.labels[0])
	case op == opBr, op == opBrIf:
		m.branch()
	case op == opBrTable:
		n := m.count("branches", 1, maxBranches)
		for i := 0; i <= n && m.err == nil; i++ {
			m.branch()
		}
	case op == opCall:
		if f := m.u32(); m.err == nil && int64(f) < int64(len(m.functions)) { // the compiler refuses the others
			m.moves(m.types[m.functions[f]].arity())
		}
	case op == opCallTable:
		if t := m.u32(); m.err == nil && int64(t) < int64(len(m.types)) {
			m.moves(m.types[t].arity())
		}
		m.u32()
	case op == opSelect:
		n := m.count("types of a select", 1, 1)
		for i := 0; i < n; i++ {
			m.valueType()
		}
	case op >= 0x28 && op <= 0x3e:
		m.memoryArgument()
	case op == 0x3f || op == 0x40:
		m.zero()
	case op == opI32Const:
		m.signed(32)
	case op == opI64Const:
		m.signed(64)
	case op == opF32Const:
		m.skip(4)
	case op == opF64Const:
		m.skip(8)
	case op == opRefNull:
		m.referenceType()
	case op == prefixMisc:
		m.miscImmediates()
	case op == prefixSIMD:
		m.simdImmediates()
	default:
		m.failf("opcode %#x %s", op, featureOf(op))
	}
}

// featureOf names the feature of an opcode outside core WebAssembly 2.0.
func featureOf(op byte) string {
	switch {
	case op >= 0x06 && op <= 0x0a, op == 0x18, op == 0x19, op == 0x1f:
		return "needs the exception handling feature, which is not enabled"
	case op == 0x12 || op == 0x13:
		return "needs the tail call feature, which is not enabled"
	case op == 0x14 || op == 0x15 || op >= 0xd3 && op <= 0xd6:
		return "needs the typed function references feature, which is not enabled"
	case op == 0xfb:
		return "needs the GC feature, which is not enabled"
	case op == 0xfe:
		return "needs the threads feature, which is not enabled"
	}
	return "is unknown"
}

// miscImmediates passes saturating truncations and bulk operations (prefix 0xfc).
func (m *module) miscImmediates() {
	switch op := m.u32(); {
	case m.err != nil || op <= 7:
	case op == 8: // memory.init
		m.u32()
		m.zero()
	case op == 9 || op == 13 || op == 16 || op == 17: // data.drop, elem.drop, table.size, table.fill
		m.u32()
	case op == 15: // table.grow
		m.u32()
		if m.err == nil && m.tables > 0 && (m.tableMost < 0 || m.tableMost > maxTableSize) {
			m.failf("table.grow needs a table with a maximum of at most %d entries: its memory is beside the module's own", maxTableSize)
		}
	case op == 10: // memory.copy
		m.zero()
		m.zero()
	case op == 11: // memory.fill
		m.zero()
	case op == 12 || op == 14: // table.init, table.copy
		m.u32()
		m.u32()
	default:
		m.failf("opcode 0xfc %d is unknown", op)
	}
}

// simdImmediates passes vector instructions (prefix 0xfd).
func (m *module) simdImmediates() {
	switch op := m.u32(); {
	case m.err != nil:
	case op <= 11 || op == 92 || op == 93: // loads and stores
		m.memoryArgument()
	case op == 12 || op == 13: // v128.const, i8x16.shuffle
		m.skip(16)
	case op >= 21 && op <= 34: // lanes
		m.byte()
	case op >= 84 && op <= 91: // lanes in memory
		m.memoryArgument()
		m.byte()
	case op > 0xff:
		m.failf("opcode 0xfd %d needs the relaxed SIMD feature, which is not enabled", op)
	default:
		switch op {
		case 0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee:
			m.failf("opcode 0xfd %#x is unknown", op)
		}
	}
}

// memoryArgument passes alignment and offset.
func (m *module) memoryArgument() {
	if align := m.u32(); m.err == nil && align > 4 {
		m.failf("alignment 2^%d: no access of core WebAssembly 2.0 is wider than 16 bytes, and there is one memory", align)
	}
	m.u32()
}

// zero passes the index of the one memory.
func (m *module) zero() {
	if b := m.byte(); m.err == nil && b != 0 {
		m.failf("memory %d: the multi-memory feature is not enabled", b)
	}
}

// constant walks a constant expression: one instruction and the end.
func (m *module) constant() {
	switch op := m.byte(); {
	case m.err != nil:
	case op == opI32Const, op == opI64Const, op == opF32Const, op == opF64Const, op == opRefNull, op == opRefFunc, op == opGlobalGet:
		m.immediates(op)
	case op == prefixSIMD:
		if sub := m.u32(); m.err == nil && sub != 12 {
			m.failf("opcode 0xfd %d in a constant expression", sub)
		}
		m.skip(16)
	default:
		m.failf("opcode %#x in a constant expression", op)
	}
	if end := m.byte(); m.err == nil && end != opEnd {
		m.failf("a constant expression of more than one instruction needs the extended constants feature, which is not enabled")
	}
}
