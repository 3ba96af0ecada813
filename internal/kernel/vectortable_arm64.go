package kernel

var vectorNEON = vectorGeneric
