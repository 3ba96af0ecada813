package machine

var peaks = []peak{{name: "neon", usable: true, chains: 24, bytes: 16, f32: fma32NEON, f64: fma64NEON}}

//go:noescape
func fma32NEON(passes int, data *[24]float64)

//go:noescape
func fma64NEON(passes int, data *[24]float64)
