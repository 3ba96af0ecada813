package wasmtest

import "github.com/tenon-ml/tenon/sdk/abi"

// Host imports functions of the ABI by name, with the ABI's signatures, in the order given.
func Host(names ...string) []Import {
	var imports []Import
	for _, name := range names {
		for _, f := range abi.Functions {
			if f.Name == name {
				params := make([]byte, len(f.Params))
				for i, p := range f.Params {
					params[i] = byte(p)
				}
				imports = append(imports, Import{Module: abi.Module, Name: name, Params: params, Results: []byte{I32}})
			}
		}
	}
	if len(imports) != len(names) {
		panic("wasmtest: no such function in the ABI")
	}
	return imports
}

// Quiet returns 0 and gives nothing.
func Quiet() Module { return Guest(nil, Const(0)...) }

// Returning returns code.
func Returning(code int32) Module { return Guest(nil, Const(code)...) }

// Spinning loops for ever.
func Spinning() Module { return Guest(nil, Code(Loop(), Br(0), End, Const(0))...) }

// Recursing computes the 70th Fibonacci number by recursion, which has no loop and takes for ever.
func Recursing() Module {
	m := Guest(nil, Code(Const(70), Call(2))...)
	fib := Code(Get(0), Const(2), I32LtS, If(), Get(0), Return, End,
		Get(0), Const(1), I32Sub, Call(2), Get(0), Const(2), I32Sub, Call(2), I32Add)
	m.Functions = append(m.Functions, Function{Params: []byte{I32}, Results: []byte{I32}, Code: fib})
	return m
}

// Filling fills 16 MiB of memory n times, in a straight line.
func Filling(n int) Module {
	m := Guest(nil, Code(Repeat(n, Const(0), Const(7), Const(16<<20), MemoryFill()), Const(0))...)
	m.MinPages = 256
	return m
}

// Overflowing recurses without end.
func Overflowing() Module {
	m := Guest(nil, Code(Call(2), Const(0))...)
	m.Functions = append(m.Functions, Function{Code: Code(Call(2))})
	return m
}

// Growing grows its memory a page at a time until it is refused, then traps.
func Growing() Module {
	return Guest(nil, Code(Loop(), Const(16), MemoryGrow(), Const(0), I32LtS, I32Eqz, BrIf(0), End, Unreachable)...)
}

// Nesting opens depth loops in each other: within the limits slow to compile, beyond them refused.
func Nesting(depth, functions int) Module {
	m := Quiet()
	for range functions {
		m.Functions = append(m.Functions, Function{
			Locals: Locals(8, I32),
			Code:   Code(Repeat(depth, Loop(), Get(0), Const(1), I32Add, Set(0), Get(0), BrIf(0)), Repeat(depth, End)),
		})
	}
	return m
}

// Branching has functions whose br_tables have as many labels as are accepted.
func Branching(labels, functions int) Module {
	m := Quiet()
	for range functions {
		m.Functions = append(m.Functions, Function{
			Params: []byte{I32},
			Code:   Code(Block(), Block(), Get(0), BrTable(make([]uint32, labels), 1), End, End),
		})
	}
	return m
}

// Flooding writes size bytes of log n times.
func Flooding(size, n int32) Module {
	m := Guest(Host("log"), Code(
		Loop(), Const(0), Const(size), Call(0), Drop, Get(0), Const(1), I32Add, Tee(0), Const(n), I32LtS, BrIf(0), End, Const(0))...)
	m.MinPages = uint32(size)/65536 + 1
	m.Functions[1].Locals = Locals(1, I32)
	return m
}

// Measuring gives n metrics called a0000000 and so on, and returns how often the host refused one.
func Measuring(n int32) Module {
	digits := Code(Get(0), Set(2))
	for place := uint32(7); place > 0; place-- {
		digits = Code(digits, Const(0), Get(2), Const(10), []byte{0x6f}, Const('0'), I32Add, []byte{0x3a, 0}, U32(place),
			Get(2), Const(10), I32DivS, Set(2)) // i32.rem_s, i32.store8
	}
	m := Guest(Host("metric"), Code(
		Const(0), Const('a'), []byte{0x3a, 0, 0},
		Loop(), digits,
		Const(-1), Const(-1), Const(0), Const(8), Get(0), F64FromI32, Call(0),
		Const(0), I32LtS, If(), Get(1), Const(1), I32Add, Set(1), End,
		Get(0), Const(1), I32Add, Tee(0), Const(n), I32LtS, BrIf(0), End,
		Get(1))...)
	m.Functions[1].Locals = Locals(3, I32)
	return m
}

// GrowingTable grows its table by 2^25 entries at a time until it is refused, which the limit on linear memory does not count. Without a
// maximum of the table it is refused before it runs.
func GrowingTable() Module {
	m := Guest(nil, Code(Loop(), []byte{0xd0, 0x70}, Const(1<<25), []byte{0xfc, 15, 0}, Const(0), I32LtS, I32Eqz, BrIf(0), End, Const(0))...)
	m.Table = 1
	return m
}

// Copying has functions of n bulk copies each, of which the compiler makes a hundred times as much.
func Copying(n, functions int) Module {
	m := Quiet()
	for range functions {
		m.Functions = append(m.Functions, Function{
			Params: []byte{I32},
			Code:   Repeat(n, Get(0), Get(0), Get(0), []byte{0xfc, 10, 0, 0}),
		})
	}
	return m
}
