package merge

import (
	"bytes"
	"io"
	"maps"
	"slices"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// mixing is a Combine at work.
type mixing struct {
	*Plan
	Mixture
	sums []*sum                // what is to be computed, by tensor name
	told func(done, total int) // may be nil
}

// addend is what one adapter does to a tensor. Its tensors lie in the plan's files.
type addend struct {
	adapter.Target
	portion int
	ref     string  // of the adapter
	weight  float64 // the user's
}

// adds reports whether something is added, and the tensor not only replaced.
func (a *addend) adds() bool { return a.LowRank() || a.Dense.Shape != nil }

// sum is a tensor whose change is computed from those of several adapters, or from a part of one.
type sum struct {
	Item    // without its delta
	addends []addend
	entries []safetensors.Entry // what is computed
}

// collect sorts every adapter's targets by tensor, and makes an item of what need not be computed.
func (m *mixing) collect() error {
	byName := map[string][]addend{}
	for i, portion := range m.Combination.portions {
		places := make([]int, 0, 2)
		for _, f := range portion.Binding.Files() {
			places = append(places, m.file(f))
		}
		for _, t := range portion.Binding.Targets {
			for _, part := range []*safetensors.Tensor{&t.A, &t.B, &t.Dense, &t.Start} {
				if part.Shape != nil {
					part.File = places[part.File]
				}
			}
			byName[t.Name] = append(byName[t.Name], addend{t, i, portion.Binding.Adapter.Ref, portion.Scale})
		}
	}
	var faults fault.List
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all := byName[name]
		start, err := m.start(all)
		if err != nil {
			if fault.ClassOf(err) == fault.Operational {
				return err
			}
			faults = append(faults, fault.All(err)...)
			continue
		}
		addends := slices.DeleteFunc(all, func(a addend) bool { return !a.adds() })
		if err := m.put(start, addends); err != nil {
			faults = append(faults, fault.All(err)...)
		}
	}
	return faults.Err()
}

// put makes an item of one tensor, or a sum where its change is to be computed.
func (m *mixing) put(start adapter.Target, addends []addend) error {
	if len(addends) == 0 {
		m.add(Item{Target: start})
		return nil
	}
	if start.New() {
		return nothingThere(addends[0].ref, start.Name)
	}
	for i := range addends {
		if err := (Item{Target: addends[i].Target}).fits(); err != nil {
			return err
		}
	}
	if len(addends) == 1 && (m.Method == Linear || m.Method == Cat) {
		only := addends[0]
		item := Item{Target: only.Target, Scale: only.weight * only.Pair.Scale}
		item.Start, item.StartRows = start.Start, start.StartRows
		m.add(item)
		return nil
	}
	for _, a := range addends[1:] {
		if one, other := &addends[0], &a; one.LowRank() && other.LowRank() && !sameMatrix(one, other) {
			return fault.New(fault.ADUnsupported, "adapters %s and %s change this tensor as matrices of different shapes", one.ref, other.ref).
				Of(start.Name).Fix("merge one into a checkpoint, and the other into that")
		}
	}
	m.sums = append(m.sums, &sum{Item: Item{Target: start, Scale: 1}, addends: addends})
	return nil
}

func sameMatrix(a, b *addend) bool {
	rows, cols := a.Matrix()
	otherRows, otherCols := b.Matrix()
	return rows == otherRows && cols == otherCols
}

// start is what stands in place of a tensor before anything is added, as a target that adds nothing.
func (m *mixing) start(all []addend) (adapter.Target, error) {
	from := -1
	for i := range all {
		if all[i].Start.Shape == nil {
			continue
		}
		if from < 0 {
			from = i
			continue
		}
		one, other := &all[from], &all[i]
		same, err := m.sameStart(one, other)
		if err != nil {
			return adapter.Target{}, err
		}
		if !same {
			return adapter.Target{}, fault.New(fault.ADTwice, "adapters %s and %s replace this tensor by different values", one.ref, other.ref).
				Of(one.Name).Fix("combine adapters of which one replaces it")
		}
	}
	t := adapter.Target{Name: all[0].Name, Base: all[0].Base, Blocks: 1}
	if from >= 0 {
		t.Start, t.StartRows = all[from].Start, all[from].StartRows
	}
	return t, nil
}

// sameStart reports whether two adapters replace a tensor by the same bytes.
func (m *mixing) sameStart(a, b *addend) (bool, error) {
	if a.Start.DType != b.Start.DType || a.Start.Length != b.Start.Length || !slices.Equal(a.StartRows, b.StartRows) ||
		(a.StartRows == nil) != (b.StartRows == nil) || a.New() && !slices.Equal(a.Start.Shape, b.Start.Shape) {
		return false, nil
	}
	one, other := make([]byte, blockBytes), make([]byte, blockBytes)
	for at := int64(0); at < a.Start.Length; at += blockBytes {
		n := min(blockBytes, a.Start.Length-at)
		for _, r := range []struct {
			t safetensors.Tensor
			p []byte
		}{{a.Start, one[:n]}, {b.Start, other[:n]}} {
			if err := m.readPart(r.t.Ref, r.p, at); err != nil {
				return false, err
			}
		}
		if !bytes.Equal(one[:n], other[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// readPart fills p with a tensor's bytes from at on.
func (p *Plan) readPart(ref tensor.Ref, part []byte, at int64) error {
	f := p.files[ref.File]
	if n, err := f.ReadAt(part, ref.Offset+at); n < len(part) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fault.New(fault.IORead, "it cannot be read").In(f.Name()).Of(ref.Name).AtByte(ref.Offset + at).Wrap(err)
	}
	return nil
}
