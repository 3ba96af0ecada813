package kernel

// vectorKernels are the loops over f64 vectors that factorisations spend their time in.
type vectorKernels struct{}

var vectorGeneric = vectorKernels{}
