package kernel

var scanNEON = scanGeneric
