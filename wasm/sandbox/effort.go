package sandbox

// function is what the walk counts of one body: a few bytes can name a type of a thousand values, or read ten thousand locals behind ten
// thousand loops, and the compiler holds each of them for each.
type function struct {
	locals int // with parameters
	blocks int // blocks, loops and ifs
	moved  int // values that calls, branches and blocks pass
}

// arity is how many values a call of the type passes.
func (s signature) arity() int { return len(s.params) + len(s.results) }

// startFunction begins to count for body i.
func (m *module) startFunction(i int) {
	m.function = function{}
	m.labels = m.labels[:0]
	if m.imports+i >= len(m.functions) {
		m.failf("%d functions are declared, there are more bodies", len(m.functions)-m.imports)
		return
	}
	s := m.types[m.functions[m.imports+i]]
	m.function.locals = len(s.params)
	m.labels = append(m.labels, len(s.results))
}

// moves counts values that an instruction passes.
func (m *module) moves(n int) {
	m.function.moved += n
	m.moved += n
	switch {
	case m.err != nil:
	case m.function.moved > maxMoved:
		m.failf("calls, branches and blocks of one function pass more than %d values", maxMoved)
	case m.moved > maxMovedInAll:
		m.failf("calls, branches and blocks of all functions pass more than %d values", maxMovedInAll)
	}
}

// branch passes a label. One that is not there is the compiler's to refuse.
func (m *module) branch() {
	if label := m.u32(); m.err == nil && int64(label) < int64(len(m.labels)) {
		m.moves(m.labels[len(m.labels)-1-int(label)])
	}
}

// openBlock passes the type of a block, a loop or an if, and opens it. What a branch to a loop passes are its parameters, to another block
// its results.
func (m *module) openBlock(op byte) {
	params, results := m.blockType()
	if op == opLoop {
		m.labels = append(m.labels, params)
	} else {
		m.labels = append(m.labels, results)
	}
	m.moves(params + results)
	m.function.blocks++
	switch {
	case m.err != nil:
	case len(m.labels) > maxNesting:
		m.failf("blocks nested more than %d deep", maxNesting)
	case m.function.blocks*m.function.locals > maxMerged:
		m.failf("%d blocks of a function with %d locals, at most %d of both multiplied are accepted", m.function.blocks, m.function.locals,
			maxMerged)
	}
}

// blockType passes the type of a block: empty, one value type, or an index. It returns how many parameters and results it has.
func (m *module) blockType() (params, results int) {
	switch t := m.signed(33); {
	case m.err != nil || t == -64:
	case t >= 0 && t < int64(len(m.types)):
		return len(m.types[t].params), len(m.types[t].results)
	case t < 0 && t >= -64 && (isNumeric(byte(t&0x7f)) || isReference(byte(t&0x7f))):
		return 0, 1
	default:
		m.failf("unknown block type %d", t)
	}
	return 0, 0
}
