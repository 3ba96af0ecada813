package merge

import (
	"context"
	"hash/fnv"
	"strconv"
)

// keeper decides which entries of one addend's change stay. It puts 0 in place of the others among entries from at on, in the stored order, and is
// safe for concurrent use.
type keeper interface {
	prune(entries []float32, at int64)
}

// prune writes what is left of the addends, combined. Entries are pruned and signs elected on each adapter's own change, and the user's weights
// come in afterwards, as in PEFT. It is computed in f64 and rounded once.
func (m *mixing) prune(ctx context.Context, s *sum, w floats) error {
	readers, err := m.readers(s, false)
	if err != nil {
		return err
	}
	keepers, rescale := make([]keeper, len(readers)), 1.
	if m.Method.Draws() {
		rescale = 1 / m.Density
		for i := range keepers {
			keepers[i] = newDraw(m.Seed, s.Name, s.addends[i].portion, m.Density)
		}
	} else if keepers, err = m.largest(ctx, s, readers); err != nil {
		return err
	}
	mix := mixer{elects: m.Method.Elects(), majority: m.Majority}
	for i := range s.addends {
		mix.weights = append(mix.weights, s.addends[i].weight)
	}
	combine := func(p part) {
		values, into := make([]float64, len(keepers)), p.entries[0]
		for a, entries := range p.entries {
			keepers[a].prune(entries, p.at)
		}
		for i := range into {
			for a, entries := range p.entries {
				values[a] = float64(entries[i]) * rescale
			}
			into[i] = float32(mix.entry(values))
		}
	}
	return eachPart(ctx, s, readers, combine, func(p part) error { return w.write(p.entries[0]) })
}

// mixer makes one entry of those of all addends.
type mixer struct {
	weights  []float64
	elects   bool
	majority Majority
}

// entry is Σ w v, or, where signs are elected, the sum over the values of the elected sign divided by their number. The elected sign is that of Σ v, or
// of Σ sign(v), and plus where that is 0.
func (m *mixer) entry(values []float64) float64 {
	total := float64(0)
	if !m.elects {
		for i, v := range values {
			total += float64(m.weights[i] * v)
		}
		return total
	}
	elected, n := float64(0), 0
	for _, v := range values {
		if m.majority == Frequency {
			v = sign(v)
		}
		elected += v
	}
	for i, v := range values {
		if v != 0 && (v > 0) == (elected >= 0) {
			total += float64(m.weights[i] * v)
			n++
		}
	}
	return total / float64(max(1, n))
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// draw keeps each entry with a probability of its own: the density. Whether it does depends on the seed, the tensor's name, the place of the adapter
// in the command and the place of the entry in the tensor, and on nothing else. With splitMix64 the finalizer of SplitMix64 and γ its increment
// 0x9e3779b97f4a7c15,
//
//	key  = splitMix64(seed XOR FNV-1a-64(name, a zero byte, the adapter's number from 0 in decimal digits))
//	word = splitMix64(key + (at+1)·γ)
//
// and entry at, counted from 0 in the stored order, stays where the upper 53 bits of word, as a fraction of 2^53, are below the density.
type draw struct {
	key     uint64
	density float64
}

const splitMixIncrement = 0x9e3779b97f4a7c15

func newDraw(seed uint64, name string, portion int, density float64) draw {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	hash.Write([]byte{0})
	hash.Write([]byte(strconv.Itoa(portion)))
	return draw{splitMix64(seed ^ hash.Sum64()), density}
}

func (d draw) prune(entries []float32, at int64) {
	state := d.key + uint64(at)*splitMixIncrement
	for i := range entries {
		if state += splitMixIncrement; !(float64(splitMix64(state)>>11)*0x1p-53 < d.density) {
			entries[i] = 0
		}
	}
}

func splitMix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
