//go:build race

package kernel

// underRace shortens tests of pure arithmetic, which the race detector slows down many times and finds nothing in.
const underRace = true
