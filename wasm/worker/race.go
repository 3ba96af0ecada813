//go:build race

package worker

// raceDetector is true in a build whose address space cannot be limited.
const raceDetector = true
