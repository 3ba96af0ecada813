package merge

import (
	"context"
	"math"
)

// largest keeps the entries of greatest magnitude: those above a threshold, and of those at it the ones before an end.
type largest struct {
	threshold uint32 // bits of the magnitude
	end       int64
}

func (l largest) prune(entries []float32, at int64) {
	for i, v := range entries {
		if bits := magnitude(v); bits < l.threshold || bits == l.threshold && at+int64(i) >= l.end {
			entries[i] = 0
		}
	}
}

// magnitude is the bits of |v|, which are ordered as the magnitudes are.
func magnitude(v float32) uint32 { return math.Float32bits(v) &^ (1 << 31) }

// largest finds, for each addend, which are its density·n greatest entries, that number cut to a whole one; of equal ones the first. The changes are
// read twice for that, and where not all entries at a threshold stay once more.
func (m *mixing) largest(ctx context.Context, s *sum, readers []*deltaReader) ([]keeper, error) {
	rows, cols := s.Matrix()
	keep := int64(m.Density * float64(int64(rows)*int64(cols)))
	count := func(searches []search) error {
		own := make([][]search, slots())
		for i := range own {
			own[i] = make([]search, len(searches))
			for a, x := range searches {
				own[i][a] = x
				own[i][a].counts = make([]int64, len(x.counts))
			}
		}
		err := eachPart(ctx, s, readers, func(p part) {
			for a, entries := range p.entries {
				own[p.slot][a].count(entries)
			}
		}, nil)
		for _, slot := range own {
			for a := range slot {
				for i, n := range slot[a].counts {
					searches[a].counts[i] += n
				}
			}
		}
		return err
	}
	searches := make([]search, len(readers))
	for a := range searches {
		searches[a] = newSearch(keep)
	}
	for range 2 {
		if err := count(searches); err != nil {
			return nil, err
		}
		for a := range searches {
			searches[a].narrow()
		}
	}
	return m.ends(ctx, s, readers, searches)
}

// ends finds where the entries at the thresholds end that stay.
func (m *mixing) ends(ctx context.Context, s *sum, readers []*deltaReader, searches []search) ([]keeper, error) {
	keepers, found, unknown := make([]keeper, len(searches)), make([]largest, len(searches)), 0
	for a, x := range searches {
		found[a].threshold = x.prefix
		switch x.left {
		case 0:
		case x.there:
			found[a].end = math.MaxInt64
		default:
			unknown++
		}
	}
	if unknown > 0 {
		err := eachPart(ctx, s, readers, nil, func(p part) error {
			for a, entries := range p.entries {
				if x := &searches[a]; x.left > 0 && x.left < x.there && found[a].end == 0 {
					found[a].end = x.pass(p.at, entries)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for a := range keepers {
		keepers[a] = found[a]
	}
	return keepers, nil
}

// search finds the magnitude of the entry that is the keep-th from the greatest: first the upper half of its bits, then the lower one.
type search struct {
	counts []int64 // by the half that is searched
	lower  bool
	prefix uint32 // the upper half, where it is known; at the end the whole
	left   int64  // entries that stay of those with the prefix
	there  int64  // entries with the prefix
	passed int64  // of those, how many pass has seen
}

const halfBits = 16

func newSearch(keep int64) search { return search{counts: make([]int64, 1<<halfBits), left: keep} }

// count counts entries that may be at the threshold.
func (x *search) count(entries []float32) {
	if !x.lower {
		for _, v := range entries {
			x.counts[magnitude(v)>>halfBits]++
		}
		return
	}
	for _, v := range entries {
		if bits := magnitude(v); bits>>halfBits == x.prefix {
			x.counts[bits&(1<<halfBits-1)]++
		}
	}
}

// narrow takes what was counted, and goes on to the next half. Where nothing is to stay the threshold is the greatest magnitude there is.
func (x *search) narrow() {
	value := uint32(0)
	for v := len(x.counts) - 1; v >= 0; v-- {
		if x.counts[v] > 0 && x.counts[v] >= x.left {
			value = uint32(v)
			break
		}
		x.left -= x.counts[v]
	}
	x.there = x.counts[value]
	x.prefix, x.lower = x.prefix<<halfBits|value, true
	clear(x.counts)
}

// pass looks for the end of the entries at the threshold that stay, among entries from at on: the place behind the last of them, or 0 where it is not
// there.
func (x *search) pass(at int64, entries []float32) int64 {
	for i, v := range entries {
		if magnitude(v) != x.prefix {
			continue
		}
		if x.passed++; x.passed == x.left {
			return at + int64(i) + 1
		}
	}
	return 0
}
