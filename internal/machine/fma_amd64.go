package machine

import "golang.org/x/sys/cpu"

var peaks = []peak{
	{name: "avx512", usable: cpu.X86.HasAVX512F, chains: 24, bytes: 64, f32: fma32AVX512, f64: fma64AVX512},
	{name: "avx2", usable: cpu.X86.HasAVX2 && cpu.X86.HasFMA, chains: 12, bytes: 32, f32: fma32AVX2, f64: fma64AVX2},
}

//go:noescape
func fma32AVX512(passes int, data *[24]float64)

//go:noescape
func fma64AVX512(passes int, data *[24]float64)

//go:noescape
func fma32AVX2(passes int, data *[24]float64)

//go:noescape
func fma64AVX2(passes int, data *[24]float64)
