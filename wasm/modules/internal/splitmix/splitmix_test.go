package splitmix

import (
	"math"
	"slices"
	"testing"
)

// Signatures of adapters are stored: the numbers they come from must never change.
func TestStreamsAreFixed(t *testing.T) {
	s := New("purpose", "name", 0)
	got := [3]uint64{s.Uint64(), s.Uint64(), s.Uint64()}
	if want := [3]uint64{0x8abdf4f0c2868c33, 0x931c385f1b9d5c44, 0xc47f18065b8b94b1}; got != want {
		t.Errorf("the stream begins %#x, want %#x", got, want)
	}
}

func TestStreamsDiffer(t *testing.T) {
	seen := map[uint64]string{}
	for _, key := range []struct {
		purpose, name string
		index         int
	}{{"a", "b", 0}, {"a", "b", 1}, {"a", "b", 2}, {"ab", "", 0}, {"", "ab", 0}, {"b", "a", 0}} {
		s := New(key.purpose, key.name, key.index)
		first := s.Uint64()
		if other, ok := seen[first]; ok {
			t.Errorf("%v begins as %s", key, other)
		}
		seen[first] = key.purpose + "/" + key.name
	}
}

func TestMoments(t *testing.T) {
	const n = 200_000
	s := New("moments", "", 0)
	tests := []struct {
		name                 string
		fill                 func([]float64)
		mean, square, fourth float64
	}{
		{"uniform", func(x []float64) {
			for i := range x {
				x[i] = s.Float()
			}
		}, 0.5, 1. / 3, 0.2},
		{"normal", s.Normals, 0, 1, 3},
		{"sign", s.Signs, 0, 1, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := make([]float64, n+1)
			test.fill(x)
			var mean, square, fourth float64
			for _, v := range x {
				mean += v / float64(len(x))
				square += v * v / float64(len(x))
				fourth += v * v * v * v / float64(len(x))
			}
			if math.Abs(mean-test.mean) > 0.01 || math.Abs(square-test.square) > 0.015 || math.Abs(fourth-test.fourth) > 0.1 {
				t.Errorf("moments are %g, %g, %g, want %g, %g, %g", mean, square, fourth, test.mean, test.square, test.fourth)
			}
		})
	}
}

func TestSample(t *testing.T) {
	counts := make([]int, 10)
	for i := range 20_000 {
		s := New("sample", "", i)
		drawn := s.Sample(3, len(counts))
		if len(drawn) != 3 || !slices.IsSorted(drawn) || len(slices.Compact(slices.Clone(drawn))) != 3 {
			t.Fatalf("drawn %v", drawn)
		}
		for _, k := range drawn {
			counts[k]++
		}
	}
	for i, count := range counts {
		if math.Abs(float64(count)-6000) > 5*math.Sqrt(20_000*.3*.7) {
			t.Errorf("%d was drawn %d times of 20000, want 6000", i, count)
		}
	}
	s := New("sample", "", 0)
	if all := s.Sample(9, 4); !slices.Equal(all, []int{0, 1, 2, 3}) {
		t.Errorf("9 of 4 are %v", all)
	}
}
