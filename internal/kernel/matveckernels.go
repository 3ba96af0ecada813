package kernel

// matvecKernels are dot products of stored rows with f32 vectors.
type matvecKernels struct{}

var matvecGeneric = matvecKernels{}
