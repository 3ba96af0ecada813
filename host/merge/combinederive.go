package merge

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// inMemory is the size up to which safetensors.Derive needs no room on a disk.
const inMemory = 256 << 20

// derive computes the sums into a file of the plan's own: factors where there are such, and otherwise every entry.
func (m *mixing) derive(ctx context.Context) error {
	if len(m.sums) == 0 {
		return nil
	}
	var entries []safetensors.Entry
	bytes := int64(0)
	for _, s := range m.sums {
		s.entries = m.entries(s)
		for _, e := range s.entries {
			entries = append(entries, e)
			bytes += 4 * int64(e.Shape[0]) * int64(e.Shape[1])
		}
	}
	if free, err := freeBytes(os.TempDir()); err == nil && bytes > inMemory && bytes > free {
		return fault.New(fault.IOSpace, "the combined change needs %d bytes and %d are free", bytes, free).In(os.TempDir()).
			Fix("free some space, or set TMPDIR to a directory of another disk")
	}
	file, err := safetensors.Derive("the combined change", entries, nil, func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, blockBytes)
		for i, s := range m.sums {
			if err := m.compute(ctx, s, floats{buffered}); err != nil {
				return err
			}
			if m.told != nil {
				m.told(i+1, len(m.sums))
			}
		}
		return buffered.Flush()
	})
	if err != nil {
		return err
	}
	m.owned = append(m.owned, file)
	place := m.file(file)
	for _, s := range m.sums {
		n := len(s.entries)
		for i, e := range s.entries {
			t, _ := file.Tensor(e.Name)
			t.File = place
			switch {
			case n == 1:
				s.Dense = t
			case i == 0:
				s.A = t
			default:
				s.B = t
			}
		}
		m.add(s.Item)
	}
	return nil
}

// entries are the tensors that a sum is computed into, A and B, or all entries of the change. They give the item its shape.
func (m *mixing) entries(s *sum) []safetensors.Entry {
	rank := 0
	switch {
	case m.Method == SVD:
		rank = s.svdRank(m.Rank)
	case m.Method == Linear || m.Method == Cat:
		rank = s.concatenatedRank()
	}
	if rank == 0 {
		s.Out, s.In = s.Matrix()
		s.Pair.Scale = 1
		return []safetensors.Entry{{Name: s.Name, DType: tensor.F32, Shape: []int{s.Out, s.In}}}
	}
	layout := s.layout()
	s.Blocks, s.Out, s.In, s.FanInFanOut = layout.blocks, layout.out, layout.in, layout.fanInFanOut
	s.Rank, s.Pair.Scale = rank, 1
	return []safetensors.Entry{
		{Name: s.Name + ".A", DType: tensor.F32, Shape: []int{s.Blocks * rank, s.In}},
		{Name: s.Name + ".B", DType: tensor.F32, Shape: []int{s.Blocks * s.Out, rank}},
	}
}

// compute writes what entries promised.
func (m *mixing) compute(ctx context.Context, s *sum, w floats) error {
	switch {
	case m.Method == SVD:
		return m.truncate(ctx, s, w)
	case s.LowRank():
		return m.concatenate(ctx, s, w)
	case m.Method.Prunes():
		return m.prune(ctx, s, w)
	}
	return m.addAll(ctx, s, w)
}

// floats writes f32 as files hold them.
type floats struct{ w io.Writer }

func (f floats) write(values []float32) error {
	text := make([]byte, 0, 4*min(len(values), blockBytes/4))
	for len(values) > 0 {
		n := min(len(values), blockBytes/4)
		text = text[:0]
		for _, v := range values[:n] {
			text = binary.LittleEndian.AppendUint32(text, math.Float32bits(v))
		}
		if _, err := f.w.Write(text); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}
