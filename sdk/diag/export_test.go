package diag

// Dispatch is what RegisterAll registers.
var Dispatch = dispatch
