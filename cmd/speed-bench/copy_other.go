//go:build !linux

package main

// copyFlags are those of cp. Whether it copies every byte is up to the file system.
var copyFlags = []string{"-R"}
