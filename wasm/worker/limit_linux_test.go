package worker

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestLimitsOnlyGoDown: a machine's own limit below ours stays, and is as good as ours.
func TestLimitsOnlyGoDown(t *testing.T) {
	const own = 4096 // on core dumps, which no test needs
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: own, Max: own}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ask, want uint64 }{{2 * own, own}, {own / 2, own / 2}, {own, own / 2}, {0, 0}} {
		var now unix.Rlimit
		if err := limit(unix.RLIMIT_CORE, c.ask); err != nil {
			t.Errorf("asked for %d: %v", c.ask, err)
		} else if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil || now.Cur != c.want || now.Max != c.want {
			t.Errorf("asked for %d: %+v, %v, want %d", c.ask, now, err, c.want)
		}
	}
}
