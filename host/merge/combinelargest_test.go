package merge

import (
	"math"
	"slices"
	"testing"
)

// TestLargest keeps so many entries of a few, of which some are equal in magnitude.
func TestLargest(t *testing.T) {
	values := []float32{1, -2, 2, 0x1p-149, -0x1p-149, -2, 0x1p-140, 1.0000001, 2}
	for _, c := range []struct {
		keep int64
		want string // one letter for each entry: k where it stays
	}{
		{0, "........."},
		{1, ".k......."},
		{2, ".kk......"},
		{3, ".kk..k..."},
		{4, ".kk..k..k"},
		{5, ".kk..k.kk"},
		{6, "kkk..k.kk"},
		{7, "kkk..kkkk"},
		{8, "kkkk.kkkk"},
		{9, "kkkkkkkkk"},
	} {
		x := newSearch(c.keep)
		for range 2 {
			x.count(values)
			x.narrow()
		}
		keeper := largest{threshold: x.prefix}
		if x.left == x.there && x.left > 0 {
			keeper.end = int64(len(values))
		} else if x.left > 0 {
			keeper.end = x.pass(0, values)
		}
		got, left := make([]byte, len(values)), slices.Clone(values)
		keeper.prune(left, 0)
		for i, v := range left {
			if got[i] = '.'; v == values[i] {
				got[i] = 'k'
			}
		}
		if string(got) != c.want {
			t.Errorf("of %d: %s, want %s", c.keep, got, c.want)
		}
	}
}

// TestDraw holds the generator to its words: these are the entries of 64 that stay by an implementation in another language.
func TestDraw(t *testing.T) {
	d := newDraw(11, "w", 2, 0.25)
	const many = 1 << 20
	ones := slices.Repeat([]float32{1}, many)
	d.prune(ones[:40], 0)
	d.prune(ones[40:], 40)
	var kept []int
	n := 0
	for at, v := range ones {
		if v == 0 {
			continue
		}
		if n++; at < 64 {
			kept = append(kept, at)
		}
	}
	if share := float64(n) / many; math.Abs(share-0.25) > 0.002 {
		t.Errorf("%v of the entries stay, want a quarter", share)
	}
	if want := []int{1, 4, 6, 14, 17, 19, 28, 32, 34, 38, 39, 40, 41, 51, 53, 60, 61}; !slices.Equal(kept, want) {
		t.Errorf("%v stay, want %v", kept, want)
	}
}
