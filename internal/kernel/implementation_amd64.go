package kernel

import "golang.org/x/sys/cpu"

//go:generate go run ./asm

var implementations = []*implementation{
	{
		name:   "avx512",
		usable: cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL && avx2Usable,
		merge:  mergeAVX512, gemm32: gemm32AVX512, gemm64: gemm64AVX512, vector: vectorAVX512, matvec: matvecAVX512, scan: scanAVX512,
	},
	{
		name:   "avx2",
		usable: avx2Usable,
		merge:  mergeAVX2, gemm32: gemm32AVX2, gemm64: gemm64AVX2, vector: vectorAVX2, matvec: matvecAVX2, scan: scanAVX2,
	},
}

// avx2Usable says that the x86-64-v3 instructions that the kernels use are there.
var avx2Usable = cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C && cpu.X86.HasPOPCNT && cpu.X86.HasBMI2
