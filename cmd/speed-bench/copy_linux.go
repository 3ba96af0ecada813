package main

// copyFlags are those of cp that copy every byte.
var copyFlags = []string{"-r", "--reflink=never"}
