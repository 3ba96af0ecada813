package sandbox

import "github.com/tenon-ml/tenon/sdk/abi"

func (m *module) typeSection() {
	n := m.count("types", 3, maxTypes)
	for i := 0; i < n && m.err == nil; i++ {
		if form := m.byte(); m.err == nil && form != 0x60 {
			m.failf("type form %#x needs the GC or function references feature, which is not enabled", form)
		}
		s := signature{params: m.typeVector(), results: m.typeVector()}
		if m.typed += s.arity(); m.err == nil && m.typed > maxSigned {
			m.failf("more than %d parameters and results in all types", maxSigned)
		}
		m.types = append(m.types, s)
	}
}

// typeVector reads a vector of value types and returns a view of it.
func (m *module) typeVector() []byte {
	n := m.count("value types", 1, maxSignature)
	start := m.at
	for i := 0; i < n && m.err == nil; i++ {
		m.valueType()
	}
	return m.bytes[start:m.at:m.at]
}

// typeIndex reads an index into the types.
func (m *module) typeIndex() uint32 {
	index := m.u32()
	if m.err == nil && int64(index) >= int64(len(m.types)) {
		m.failf("type %d of %d", index, len(m.types))
	}
	return index
}

func (m *module) importSection() {
	n := m.count("imports", 4, maxImports)
	for i := 0; i < n && m.err == nil; i++ {
		from, name := m.name(), m.name()
		kind := m.byte()
		switch {
		case m.err != nil:
		case kind == 0:
			index := m.typeIndex()
			if m.err == nil {
				m.functions = append(m.functions, index)
				m.imports++
				m.checkImport(from, name, m.types[index])
			}
		case kind <= 3:
			m.failf("import %q.%q is a %s: a module brings its own", from, name, [...]string{1: "table", 2: "memory", 3: "global"}[kind])
		default:
			m.failf("import %q.%q is of unknown kind %d", from, name, kind)
		}
	}
}

func (m *module) functionSection() {
	n := m.count("functions", 1, maxFunctions)
	for i := 0; i < n && m.err == nil; i++ {
		m.functions = append(m.functions, m.typeIndex())
	}
}

func (m *module) tableSection() {
	n := m.count("tables", 3, 1)
	for i := 0; i < n && m.err == nil; i++ {
		m.referenceType()
		minimum, maximum := m.decoder.limits("table")
		if m.err == nil && minimum > maxTableSize {
			m.failf("a table of %d entries, at most %d are accepted", minimum, maxTableSize)
		}
		m.tables, m.tableMost = 1, maximum
	}
}

func (m *module) memorySection() {
	n := m.count("memories", 2, 1)
	for i := 0; i < n && m.err == nil; i++ {
		minimum, maximum := m.decoder.limits("memory")
		switch {
		case m.err != nil:
		case minimum*pageSize > m.limits.GuestMemory:
			m.failf("a memory of %d bytes from the start, the limit of guest memory is %d", minimum*pageSize, m.limits.GuestMemory)
		case maximum > 65536:
			m.failf("a memory of at most %d pages, a 32-bit memory ends at 65536", maximum)
		}
		m.memories++
	}
}

func (m *module) globalSection() {
	n := m.count("globals", 4, maxGlobals)
	for i := 0; i < n && m.err == nil; i++ {
		m.valueType()
		if mutable := m.byte(); m.err == nil && mutable > 1 {
			m.failf("unknown mutability %d of a global", mutable)
		}
		m.constant()
	}
}

func (m *module) exportSection() {
	n := m.count("exports", 3, maxExports)
	seen := map[string]bool{}
	for i := 0; i < n && m.err == nil; i++ {
		name := m.name()
		kind, index := m.byte(), m.u32()
		switch {
		case m.err != nil:
		case seen[name]:
			m.failf("export %q is there twice", name)
		case kind == 0 && int64(index) >= int64(len(m.functions)):
			m.failf("export %q is function %d of %d", name, index, len(m.functions))
		case kind == 2 && int64(index) >= int64(m.memories):
			m.failf("export %q is memory %d of %d", name, index, m.memories)
		case kind > 3:
			m.failf("export %q is of unknown kind %d", name, kind)
		case kind == 0:
			m.exports[name] = index
		case kind == 2 && name == abi.ExportMemory:
			m.hasMemory = true
		}
		seen[name] = true
	}
}

func (m *module) elementSection() {
	n := m.count("element segments", 3, maxSegments)
	for i := 0; i < n && m.err == nil; i++ {
		kind := m.u32()
		if m.err == nil && kind > 7 {
			m.failf("unknown kind %d of an element segment", kind)
			return
		}
		passive, explicit, expressions := kind&1 != 0, kind&2 != 0, kind&4 != 0
		if !passive {
			if explicit {
				m.u32() // the table
			}
			m.constant()
		}
		if passive || explicit {
			if expressions {
				m.referenceType()
			} else if b := m.byte(); m.err == nil && b != 0 {
				m.failf("unknown element kind %#x", b)
			}
		}
		entries := m.count("elements", 1, maxElements-m.elements)
		m.elements += entries
		for j := 0; j < entries && m.err == nil; j++ {
			if expressions {
				m.constant()
			} else {
				m.u32()
			}
		}
	}
}

func (m *module) dataSection() {
	n := m.count("data segments", 2, maxSegments)
	for i := 0; i < n && m.err == nil; i++ {
		switch kind := m.u32(); {
		case m.err != nil:
		case kind == 0:
			m.constant()
		case kind == 2:
			if memory := m.u32(); m.err == nil && memory != 0 {
				m.failf("data for memory %d: the multi-memory feature is not enabled", memory)
			}
			m.constant()
		case kind != 1:
			m.failf("unknown kind %d of a data segment", kind)
		}
		m.skip(m.count("bytes of data", 1, maxModule))
	}
}

// customSection passes what it does not know. The compiler reads the section called "name" for its stack traces and trusts the counts in
// it, so that one is walked.
func (m *module) customSection() {
	switch name := m.name(); {
	case m.err != nil:
	case name != "name":
		m.skip(m.left())
	case m.named:
		m.failf("two name sections")
	default:
		m.named = true
		m.nameSection()
	}
}

func (m *module) nameSection() {
	whole := m.end
	for m.err == nil && m.at < whole {
		kind := m.byte()
		size := m.count("bytes of names", 1, maxModule)
		m.end = m.at + size
		switch {
		case m.err != nil:
		case kind == 0:
			m.name()
		case kind == 1:
			m.nameMap()
		case kind == 2:
			n := m.count("functions with named locals", 2, maxFunctions)
			for i := 0; i < n && m.err == nil; i++ {
				m.u32()
				m.nameMap()
			}
		default:
			m.skip(size)
		}
		if m.err == nil && m.at != m.end {
			m.failf("a subsection of the name section has %d bytes too many", m.left())
		}
		m.end = whole
	}
}

func (m *module) nameMap() {
	n := m.count("names", 2, 2*maxFunctions)
	for i := 0; i < n && m.err == nil; i++ {
		m.u32()
		m.name()
	}
}
