package kernel

var mergeNEON = mergeGeneric
