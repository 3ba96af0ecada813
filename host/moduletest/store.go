package moduletest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// store is a private file without a name that holds the matrices of an adapter, as a checkpoint would: a worker reads open files alone.
type store struct {
	file *os.File
	out  *bufio.Writer
	at   int64
	err  error // the first
}

func newStore() (*store, error) {
	f, err := os.CreateTemp("", "tenon-module-test-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &store{file: f, out: bufio.NewWriter(f)}, nil
}

// flush puts everything into the file.
func (s *store) flush() error {
	if err := s.out.Flush(); s.err == nil {
		s.err = err
	}
	return s.err
}

// Close frees the file. Its bytes are nobody's any more, so there is nothing to lose.
func (s *store) Close() { _ = s.file.Close() }

// put stores a matrix, by columns where transposed, and rounds it once to the dtype.
func (s *store) put(name string, m Matrix, d tensor.DType, transposed bool) sandbox.Source {
	rows, cols := m.Rows, m.Cols
	var raw []byte
	if transposed {
		rows, cols = cols, rows
	}
	for i := range rows {
		for j := range cols {
			v := m.Values[i*cols+j]
			if transposed {
				v = m.Values[j*m.Cols+i]
			}
			raw = appendValue(raw, v, d)
		}
	}
	ref := tensor.Ref{Name: name, DType: d, Shape: []int{rows, cols}, Offset: s.at, Length: int64(len(raw))}
	s.at += int64(len(raw))
	if _, err := s.out.Write(raw); s.err == nil {
		s.err = err
	}
	return sandbox.Source{Ref: ref, Reader: s.file}
}

func appendValue(raw []byte, v float64, d tensor.DType) []byte {
	switch d {
	case tensor.F16:
		return binary.LittleEndian.AppendUint16(raw, tensor.F64ToF16(v))
	case tensor.BF16:
		return binary.LittleEndian.AppendUint16(raw, tensor.F64ToBF16(v))
	case tensor.F64:
		return binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(v)))
}

// target stores the factors of a target, and its weight where the run may see it.
func (s *store) target(t Target, base bool) *sandbox.Target {
	out := &sandbox.Target{Name: t.Name, Rank: t.A.Rows, In: t.A.Cols, Out: t.B.Rows, Scale: t.Scale, Alpha: t.Alpha, FanInFanOut: t.FanInFanOut,
		RsLoRA: t.RsLoRA, A: s.put(t.Name+".lora_A", t.A, t.FactorDType, false), B: s.put(t.Name+".lora_B", t.B, t.FactorDType, false)}
	if base && t.Base.given() {
		out.Base = s.put(t.Name, t.Base, t.BaseDType, t.FanInFanOut)
	}
	return out
}

// input stores an adapter and gives it as a run sees it that was granted these capabilities.
func (s *store) input(ctx context.Context, a *Adapter, m abi.Manifest, grant []abi.Capability, params map[string]float64) (sandbox.Input, error) {
	in := sandbox.Input{Params: defaults(m, params), Attrs: map[string]string{"module.id": m.ID, "adapter.format": "peft"}}
	base, peers := has(grant, abi.CapBase), has(grant, abi.CapPeers)
	for _, t := range a.Targets {
		in.Targets = append(in.Targets, *s.target(t, base))
	}
	for _, p := range a.Peers {
		if !peers {
			break
		}
		peer := sandbox.Peer{Name: p.Name}
		for _, own := range a.Targets {
			var of *sandbox.Target
			for _, t := range p.Targets {
				if t.Name == own.Name {
					of = s.target(t, false)
				}
			}
			peer.Targets = append(peer.Targets, of)
		}
		in.Peers = append(in.Peers, peer)
	}
	if err := s.flush(); err != nil {
		return in, err
	}
	if base && m.BaseSVDRank != 0 {
		for i := range in.Targets {
			if err := s.triples(ctx, &in.Targets[i], m.BaseSVDRank); err != nil {
				return in, err
			}
		}
	}
	return in, s.flush()
}

// triples stores as many singular triples of a weight as the manifest asks for. A weight without a finite decomposition gets none.
func (s *store) triples(ctx context.Context, t *sandbox.Target, asked int) error {
	if !t.Base.Present() {
		return nil
	}
	smaller := min(t.In, t.Out)
	k := asked
	switch asked {
	case abi.BaseSVDTargetRank:
		k = t.Rank
	case abi.BaseSVDTenth:
		k = max((smaller+9)/10, 16)
	case abi.BaseSVDAll:
		k = smaller
	}
	if k = min(k, smaller); k < 1 {
		return nil
	}
	u, values, v, err := kernel.TopSVD(ctx, kernel.Stored{Ref: t.Base.Ref, Reader: s.file}, t.FanInFanOut, k)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("singular vectors of %s: %w", t.Name, err)
		}
		return nil
	}
	put := func(part string, rows, cols int, data []float64, d tensor.DType) sandbox.Source {
		return s.put(t.Name+part, Matrix{Rows: rows, Cols: cols, Values: data}, d, false)
	}
	t.BaseSVD = sandbox.BaseSVD{U: put(".U", u.Rows, u.Cols, u.Data, tensor.F32), S: put(".S", 1, len(values), values, tensor.F64),
		V: put(".V", v.Rows, v.Cols, v.Data, tensor.F32)}
	return nil
}

func has(grant []abi.Capability, c abi.Capability) bool {
	for _, g := range grant {
		if g == c {
			return true
		}
	}
	return false
}
