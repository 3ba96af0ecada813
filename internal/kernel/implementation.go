package kernel

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// implementation is one set of inner loops. All implementations give the same bits; they differ in speed, and in what a processor must have.
// A vector width only decides how many entries advance side by side, never the order in which one entry's terms are added.
type implementation struct {
	name   string // as TENON_CPU spells it
	usable bool   // on this processor
	merge  mergeKernels
	gemm32 gemm32Kernels
	gemm64 gemm64Kernels
	vector vectorKernels
	matvec matvecKernels
	scan   scanKernels
}

// generic is what every processor can run.
var generic = &implementation{
	name: "generic", usable: true,
	merge: mergeGeneric, gemm32: gemm32Generic, gemm64: gemm64Generic, vector: vectorGeneric, matvec: matvecGeneric, scan: scanGeneric,
}

// active is what the functions of this package run on. It is set before main starts, and by tests.
var active = choose(os.Getenv("TENON_CPU"))

// choose returns the fastest usable implementation, or the one that is asked for by name.
func choose(name string) *implementation {
	var names []string
	for _, i := range append(slices.Clone(implementations), generic) { // fastest first
		switch {
		case name == "" && i.usable:
			return i
		case name == i.name && !i.usable:
			panic(fmt.Sprintf("TENON_CPU=%s: this processor cannot run it", name))
		case name == i.name:
			return i
		}
		names = append(names, i.name)
	}
	panic(fmt.Sprintf("TENON_CPU=%s is none of %s", name, strings.Join(names, ", ")))
}

// Implementation names the instruction set in use: avx512, avx2, neon or generic. The environment variable TENON_CPU overrides the choice,
// for tests; a name that is unknown, or that the processor cannot run, stops the program.
func Implementation() string { return active.name }
