package kernel

var matvecNEON = matvecGeneric
