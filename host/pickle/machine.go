package pickle

import (
	"github.com/tenon-ml/tenon/host/fault"
)

// The values of a pickle, besides string, int64, float64, bool and nil, as the machine knows them.
type (
	tuple  []any
	list   struct{ items []any }
	dict   struct{ keys, values []any }
	global struct{ module, name string } // a name that is interpreted and never looked up
	mark   struct{}
)

// machine reads a pickle without running it: each opcode builds one of the values above, and the few functions that PyTorch's state dicts call
// are interpreted by their names. Whatever else a pickle can say is refused where it says it.
type machine struct {
	name   string // what errors call the pickle
	text   []byte
	at     int // of the opcode at work
	next   int
	stack  []any
	memo   map[uint32]any
	limits Limits
	made   int // values
}

// The opcodes that are read, by their names in Python's pickletools.
const (
	opMark            = '('
	opStop            = '.'
	opPop             = '0'
	opPopMark         = '1'
	opBinFloat        = 'G'
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opBinInt2         = 'M'
	opNone            = 'N'
	opBinPersID       = 'Q'
	opReduce          = 'R'
	opBinUnicode      = 'X'
	opEmptyList       = ']'
	opAppend          = 'a'
	opBuild           = 'b'
	opGlobal          = 'c'
	opAppends         = 'e'
	opBinGet          = 'h'
	opLongBinGet      = 'j'
	opBinPut          = 'q'
	opLongBinPut      = 'r'
	opSetItem         = 's'
	opTuple           = 't'
	opSetItems        = 'u'
	opEmptyDict       = '}'
	opEmptyTuple      = ')'
	opProto           = 0x80
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opNewTrue         = 0x88
	opNewFalse        = 0x89
	opLong1           = 0x8a
	opShortBinUnicode = 0x8c
	opBinUnicode8     = 0x8d
	opStackGlobal     = 0x93
	opMemoize         = 0x94
	opFrame           = 0x95
)

// refuse is a fault at the opcode at work.
func (m *machine) refuse(cause string, args ...any) *fault.Error {
	return fault.New(fault.ADPickle, cause, args...).In(m.name).AtByte(int64(m.at)).Fix(remedyStrange)
}

// run reads the pickle to its end and returns its one value.
func (m *machine) run() (any, error) {
	m.memo = map[uint32]any{}
	for {
		m.at = m.next
		op, refused := m.byte()
		if refused != nil {
			return nil, refused
		}
		if op == opStop {
			break
		}
		if refused := m.step(op); refused != nil {
			return nil, refused
		}
		if len(m.stack) > m.limits.Stack || m.made > m.limits.Values || len(m.memo) > m.limits.Values {
			return nil, m.refuse("the pickle builds more values than a state dict has")
		}
	}
	switch {
	case len(m.stack) != 1:
		return nil, m.refuse("the pickle ends with %d values", len(m.stack))
	case m.next != len(m.text):
		return nil, m.refuse("%d bytes follow the end of the pickle", len(m.text)-m.next)
	}
	return m.stack[0], nil
}

// step executes one opcode.
func (m *machine) step(op byte) *fault.Error {
	switch op {
	case opProto, opFrame:
		return m.frame(op)
	case opMark:
		m.push(mark{})
	case opPop:
		_, refused := m.pop()
		return refused
	case opPopMark:
		_, refused := m.popMark()
		return refused
	case opNone:
		m.push(nil)
	case opNewTrue, opNewFalse:
		m.push(op == opNewTrue)
	case opBinInt, opBinInt1, opBinInt2, opLong1, opBinFloat:
		return m.number(op)
	case opBinUnicode, opShortBinUnicode, opBinUnicode8:
		return m.string(op)
	case opEmptyTuple:
		m.push(tuple{})
	case opEmptyList:
		m.push(&list{})
	case opEmptyDict:
		m.push(&dict{})
	case opTuple, opTuple1, opTuple2, opTuple3:
		return m.tuple(op)
	case opAppend, opAppends, opSetItem, opSetItems:
		return m.fill(op)
	case opBinPut, opLongBinPut, opMemoize, opBinGet, opLongBinGet:
		return m.remember(op)
	case opGlobal, opStackGlobal:
		return m.global(op)
	case opReduce:
		return m.reduce()
	case opBuild:
		return m.build()
	case opBinPersID:
		return m.persistent()
	default:
		return m.refuse("opcode 0x%02x is none that a state dict is written with", op)
	}
	return nil
}

func (m *machine) push(v any) {
	m.made++
	m.stack = append(m.stack, v)
}

func (m *machine) pop() (any, *fault.Error) {
	if len(m.stack) == 0 {
		return nil, m.refuse("the stack is empty")
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// popMark takes everything above the last mark, and the mark.
func (m *machine) popMark() ([]any, *fault.Error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, is := m.stack[i].(mark); is {
			items := append([]any(nil), m.stack[i+1:]...)
			m.made += len(items)
			m.stack = m.stack[:i]
			return items, nil
		}
	}
	return nil, m.refuse("there is no mark on the stack")
}

func (m *machine) byte() (byte, *fault.Error) {
	p, refused := m.bytes(1)
	if refused != nil {
		return 0, refused
	}
	return p[0], nil
}

// bytes takes the next n bytes.
func (m *machine) bytes(n uint64) ([]byte, *fault.Error) {
	if n > uint64(len(m.text)-m.next) {
		return nil, m.refuse("the pickle ends within an opcode")
	}
	p := m.text[m.next : m.next+int(n)]
	m.next += int(n)
	return p, nil
}
