package kernel

// scanKernels read stored values: they widen, count and sum.
type scanKernels struct{}

var scanGeneric = scanKernels{}
