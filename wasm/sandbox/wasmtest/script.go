package wasmtest

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// Step is one host call of a Script. Each argument is
//
//	int          an i32
//	int64        an i64
//	float64      an f64
//	string       pointer and length of the text
//	[]float64    a pointer to the values
//	LoadI32, LoadF64   what lies at that address when the call is made
type Step struct {
	Function string
	Args     []any
}

// LoadI32 and LoadF64 are addresses whose content is an argument.
type (
	LoadI32 int
	LoadF64 int
)

// Do makes a Step.
func Do(function string, args ...any) Step { return Step{function, args} }

// Scratch is an address below which a Script keeps nothing of its own: guests' out pointers go there.
const Scratch = 1024

// scriptData is where a Script's own texts and values begin.
const scriptData = 32 << 10

// Script is a guest that makes host calls in order and then gives their results as metrics r0, r1 and so on, of no target and peer.
func Script(steps ...Step) Module {
	imports := Host("metric")
	index := map[string]uint32{"metric": 0}
	var data []byte
	place := func(bytes []byte) int32 {
		for len(data)%8 != 0 {
			data = append(data, 0)
		}
		at := scriptData + len(data)
		data = append(data, bytes...)
		return int32(at)
	}
	var code []byte
	for i, step := range steps {
		if _, known := index[step.Function]; !known {
			index[step.Function] = uint32(len(imports))
			imports = append(imports, Host(step.Function)...)
		}
		for _, arg := range step.Args {
			code = append(code, argument(arg, place)...)
		}
		code = append(code, Code(Call(index[step.Function]), Set(uint32(i)))...)
	}
	for i := range steps {
		name := fmt.Sprintf("r%d", i)
		code = append(code, Code(Const(abi.NoTarget), Const(abi.NoPeer), Const(place([]byte(name))), Const(int32(len(name))),
			Get(uint32(i)), F64FromI32, Call(0), Drop)...)
	}
	m := Guest(imports, Code(code, Const(0))...)
	m.Functions[1].Locals = Locals(uint32(len(steps)), I32)
	m.Data = []Data{{Offset: scriptData, Bytes: data}}
	m.MinPages = uint32(scriptData+len(data))/65536 + 1
	return m
}

func argument(arg any, place func([]byte) int32) []byte {
	switch arg := arg.(type) {
	case int:
		return Const(int32(arg))
	case int64:
		return Const64(arg)
	case float64:
		return Float(arg)
	case string:
		return Code(Const(place([]byte(arg))), Const(int32(len(arg))))
	case []float64:
		var bytes []byte
		for _, f := range arg {
			bytes = binary.LittleEndian.AppendUint64(bytes, math.Float64bits(f))
		}
		return Const(place(bytes))
	case LoadI32:
		return Code(Const(int32(arg)), Load32(0))
	case LoadF64:
		return Code(Const(int32(arg)), LoadFloat(0))
	}
	panic(fmt.Sprintf("wasmtest: an argument of type %T", arg))
}
