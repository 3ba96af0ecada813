package sandbox

import (
	"io"
	"math/rand/v2"

	"github.com/tetratelabs/wazero/sys"
)

// A guest sees the same clock and the same random bytes in every run, so that its results depend on its input alone.

// newRandomSource gives the bytes of one fixed ChaCha8 stream.
func newRandomSource() io.Reader {
	return rand.NewChaCha8([32]byte([]byte("tenon guests share one seed, v1.")))
}

// fixedWalltime starts at 2022-01-01T00:00:00Z and moves one millisecond a call, since some runtimes wait for time to pass.
func fixedWalltime() (sys.Walltime, sys.ClockResolution) {
	const start = 1_640_995_200_000
	now := int64(start)
	return func() (int64, int32) {
		now++
		return now / 1000, int32(now % 1000 * 1_000_000)
	}, sys.ClockResolution(1_000_000)
}

// fixedNanotime starts at 0 and moves one millisecond a call.
func fixedNanotime() (sys.Nanotime, sys.ClockResolution) {
	var now int64
	return func() int64 {
		now += 1_000_000
		return now
	}, sys.ClockResolution(1)
}
