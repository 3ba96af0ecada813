//go:build !race

package cpu

// raced is whether the race detector slows everything down.
const raced = false
