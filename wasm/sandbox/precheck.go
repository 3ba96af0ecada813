package sandbox

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// What a module may be made of. A Go guest is the largest thing anybody writes for this ABI; the figures in brackets are the largest seen
// in a 10 MB Go 1.26 guest with gonum, encoding/json, regexp, text/template and net/netip, or in go vet, of 14 MB.
const (
	maxModule      = 16 << 20  // bytes
	maxTypes       = 10_000    // [17]
	maxSignature   = 1_000     // parameters, and results, of one type
	maxSigned      = 100_000   // parameters and results of all types
	maxImports     = 1_000     // [28]
	maxFunctions   = 100_000   // [5,735]
	maxGlobals     = 10_000    // [8]
	maxExports     = 10_000    // [4]
	maxTableSize   = 100_000   // entries, also of one that grows [5,708]
	maxSegments    = 400_000   // data segments [97,849: Go writes one for every run of bytes between zeros], element segments [1]
	maxElements    = 200_000   // entries over all element segments [5,707]
	maxBody        = 512 << 10 // bytes of one function [81,074]
	maxLocals      = 50_000    // of one function [38]
	maxLocalsInAll = 1_000_000 // [26,322]
	maxNesting     = 2_000     // blocks in blocks of one function [1,101: Go opens one for every call site of a function]
	maxBranches    = 8_192     // labels of one br_table [1,276]
	maxMoved       = 1 << 16   // values that calls, branches and blocks of one function pass [1,452]
	maxMovedInAll  = 2 << 20   // [141,694]
	maxMerged      = 1 << 20   // blocks times locals of one function [29,138]
	maxName        = 1 << 16   // bytes of one name
	maxProblems    = 50        // refused imports and exports that are told
	pageSize       = 65536
	maxPages       = 65536 // that 32 bits can address
)

// The sections of a module, by id.
const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
)

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code",
	"data", "data count"}

// sectionOrder is the place of each section in a module: the data count stands between elements and code.
var sectionOrder = [...]int{sectionType: 1, sectionImport: 2, sectionFunction: 3, sectionTable: 4, sectionMemory: 5, sectionGlobal: 6,
	sectionExport: 7, sectionStart: 8, sectionElement: 9, sectionDataCount: 10, sectionCode: 11, sectionData: 12}

// signature is a function type as the binary gives it. The slices are views into the module.
type signature struct {
	params, results []byte
}

func (s signature) String() string { return typeList(s.params) + " -> " + typeList(s.results) }

func typeList(types []byte) string {
	text := "("
	for i, t := range types {
		if i > 0 {
			text += ", "
		}
		switch {
		case t == 0x7b:
			text += "v128"
		case t == 0x70:
			text += "funcref"
		default:
			text += api.ValueTypeName(t)
		}
	}
	return text + ")"
}

// module is what the walk keeps of a binary.
type module struct {
	decoder
	limits     abi.Limits
	types      []signature
	typed      int      // parameters and results of all types
	imports    int      // imported functions
	functions  []uint32 // type index of every function, imported ones first
	bodies     int
	tables     int
	tableMost  int64 // entries the table may grow to, -1 without a maximum
	memories   int
	exports    map[string]uint32 // exported functions
	hasMemory  bool              // exports its memory under the ABI's name
	locals     int
	moved      int
	elements   int
	function   function // the one that is walked
	labels     []int    // how many values a branch to each open block of it passes, the innermost last
	named      bool
	asked      []abi.Function // imports
	wrong      []string       // imports and exports that do not fit the ABI
	unexpected int            // problems beyond maxProblems
}

// Precheck walks a module in front of the compiler and refuses, as a *Refusal, what this ABI cannot run or what would take the compiler
// down: claimed sizes that are not there, features beyond core WebAssembly 2.0, and imports or exports that do not fit. It allocates in
// proportion to the bytes it is given. Nothing of the module runs.
func Precheck(wasm []byte, manifest abi.Manifest, granted []abi.Capability, limits abi.Limits) error {
	m, err := look(wasm, limits)
	if err != nil {
		return err
	}
	return m.verdict(grants(manifest, granted))
}

// look is Precheck but for the verdict, which depends on more than the module.
func look(wasm []byte, limits abi.Limits) (*module, error) {
	if err := checkHead(wasm); err != nil {
		return nil, err
	}
	m := &module{
		decoder: decoder{bytes: wasm, at: 8, end: len(wasm)},
		limits:  limits.WithDefaults(),
		exports: map[string]uint32{},
	}
	m.sections()
	if m.err != nil {
		return nil, &Refusal{Status: Invalid, Reason: "the module is malformed or too large: " + m.err.Error()}
	}
	m.checkExports()
	return m, nil
}

// checkHead tells what the bytes are when they are not a module.
func checkHead(wasm []byte) error {
	switch {
	case len(wasm) > maxModule:
		return &Refusal{Status: Invalid, Reason: fmt.Sprintf("the module has %d bytes, at most %d are accepted", len(wasm), maxModule)}
	case len(wasm) < 8 || !bytes.Equal(wasm[:4], []byte("\x00asm")):
		return &Refusal{Status: Invalid, Reason: "not a WebAssembly binary: it does not start with \\0asm and a version"}
	case bytes.Equal(wasm[4:8], []byte{0x0d, 0, 1, 0}):
		return &Refusal{Status: Invalid, Reason: "a WebAssembly component, not a core module: build it without the component wrapper"}
	case !bytes.Equal(wasm[4:8], []byte{1, 0, 0, 0}):
		return &Refusal{Status: Invalid, Reason: fmt.Sprintf("WebAssembly version % x, not 1", wasm[4:8])}
	}
	return nil
}

// grants tells which capabilities count: those that the operator granted and the module's manifest names.
func grants(manifest abi.Manifest, granted []abi.Capability) func(abi.Capability) bool {
	has := map[abi.Capability]bool{abi.CapNone: true}
	for _, need := range manifest.Needs {
		for _, grant := range granted {
			if need == grant {
				has[need] = true
			}
		}
	}
	return func(c abi.Capability) bool { return has[c] }
}

func (m *module) verdict(granted func(abi.Capability) bool) error {
	denied := missingGrants(m.asked, granted)
	if len(m.wrong) == 0 {
		return refuseMissing(denied)
	}
	fit := min(len(denied), maxProblems-len(m.wrong))
	details := append(slices.Clip(m.wrong), denied[:fit]...)
	if more := m.unexpected + len(denied) - fit; more > 0 {
		details = append(details, fmt.Sprintf("and %d more", more))
	}
	return &Refusal{Status: Invalid, Reason: "the module does not fit ABI " + abi.Module, Details: details}
}

// missingGrants says for each function of a capability that is not granted what it takes.
func missingGrants(asked []abi.Function, granted func(abi.Capability) bool) (denied []string) {
	for _, f := range asked {
		if !granted(f.Capability) {
			denied = append(denied, fmt.Sprintf("import %s.%s needs the capability %q in the module's manifest and granted by the operator",
				abi.Module, f.Name, f.Capability))
		}
	}
	return denied
}

func refuseMissing(denied []string) error {
	if len(denied) == 0 {
		return nil
	}
	return &Refusal{Status: Denied, Reason: "the module imports what it was not granted", Details: denied}
}

// refuse notes one import or export that does not fit.
func (m *module) refuse(format string, args ...any) {
	if len(m.wrong) >= maxProblems {
		m.unexpected++
		return
	}
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
}

// sections walks the whole module.
func (m *module) sections() {
	previous, whole := 0, m.end
	for m.err == nil && m.at < whole {
		id := int(m.byte())
		size := int(m.u32())
		if m.err == nil && size > m.left() {
			m.failf("a section claims %d bytes, %d are left", size, m.left())
		}
		if m.err == nil && id != sectionCustom {
			switch {
			case id == 13:
				m.failf("a tag section needs the exception handling feature, which is not enabled")
			case id >= len(sectionOrder):
				m.failf("unknown section %d", id)
			case sectionOrder[id] <= previous:
				m.failf("the %s section is out of order or there twice", sectionNames[id])
			default:
				previous = sectionOrder[id]
			}
		}
		if m.err != nil {
			return
		}
		m.end = m.at + size
		m.section(id)
		if m.err == nil && m.at != m.end {
			m.failf("the %s section has %d bytes too many", sectionNames[id], m.left())
		}
		m.end = whole
	}
	if m.err == nil && m.bodies != len(m.functions)-m.imports {
		m.failf("%d functions are declared, %d have a body", len(m.functions)-m.imports, m.bodies)
	}
}

func (m *module) section(id int) {
	switch id {
	case sectionCustom:
		m.customSection()
	case sectionType:
		m.typeSection()
	case sectionImport:
		m.importSection()
	case sectionFunction:
		m.functionSection()
	case sectionTable:
		m.tableSection()
	case sectionMemory:
		m.memorySection()
	case sectionGlobal:
		m.globalSection()
	case sectionExport:
		m.exportSection()
	case sectionStart:
		m.failf("a start section: code that runs at instantiation belongs in the export %s", abi.ExportInitialize)
	case sectionElement:
		m.elementSection()
	case sectionCode:
		m.codeSection()
	case sectionData:
		m.dataSection()
	case sectionDataCount:
		if n := m.u32(); m.err == nil && n > maxSegments {
			m.failf("%d data segments, at most %d are accepted", n, maxSegments)
		}
	}
}
