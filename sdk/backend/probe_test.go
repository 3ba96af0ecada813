package backend

import (
	"slices"
	"testing"
)

func TestProbe(t *testing.T) {
	t.Run("documented example", func(t *testing.T) {
		if got, want := Probe(1, "w", 8), []int8{1, -1, -1, -1, 1, -1, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("Probe(1, w, 8) = %v, want %v", got, want)
		}
	})
	t.Run("a longer probe begins with the shorter", func(t *testing.T) {
		if long, short := Probe(7, "model.norm.weight", 300), Probe(7, "model.norm.weight", 130); !slices.Equal(long[:130], short) {
			t.Error("the first 130 entries depend on the length")
		}
	})
	t.Run("depends on seed and name", func(t *testing.T) {
		base := Probe(7, "a", 128)
		if slices.Equal(base, Probe(8, "a", 128)) || slices.Equal(base, Probe(7, "b", 128)) {
			t.Error("two seeds or two names gave one probe")
		}
	})
	t.Run("balanced", func(t *testing.T) {
		sum := 0
		for _, x := range Probe(3, "balance", 10000) {
			if x != 1 && x != -1 {
				t.Fatalf("entry %d", x)
			}
			sum += int(x)
		}
		if sum < -400 || sum > 400 { // four standard deviations
			t.Errorf("10000 entries sum to %d", sum)
		}
	})
}

// The reference sequence of SplitMix64 from state 0, as its author publishes it.
func TestSplitMix64(t *testing.T) {
	state := uint64(0)
	for i, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f} {
		state += 0x9e3779b97f4a7c15
		if got := splitMix64(state); got != want {
			t.Errorf("output %d is %#x, want %#x", i, got, want)
		}
	}
}
