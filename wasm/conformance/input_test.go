package conformance

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/conformance/input"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// weights collects matrices in one file, which is what a worker can be handed.
type weights struct{ content []byte }

// add gives a matrix a place. The zero Matrix gives the zero Source.
func (w *weights) add(m input.Matrix) sandbox.Source {
	offset := len(w.content)
	var dtype tensor.DType
	for _, v := range m.Values {
		bits := math.Float32bits(v)
		switch m.DType {
		case abi.DTypeF32:
			dtype = tensor.F32
			w.content = binary.LittleEndian.AppendUint32(w.content, bits)
		case abi.DTypeBF16:
			dtype = tensor.BF16
			w.content = binary.LittleEndian.AppendUint16(w.content, uint16(bits>>16))
		default:
			panic("no matrix of this input has such a dtype")
		}
	}
	if len(m.Values) == 0 {
		return sandbox.Source{}
	}
	return sandbox.Source{Ref: tensor.Ref{Name: "tensor " + strconv.Itoa(offset), DType: dtype, Shape: []int{m.Rows, m.Cols},
		Offset: int64(offset), Length: int64(len(w.content) - offset)}}
}

func (w *weights) target(t input.Target) sandbox.Target {
	return sandbox.Target{
		Name: t.Name, Rank: t.A.Rows, In: t.A.Cols, Out: t.B.Rows, Scale: t.Scale, Alpha: t.Alpha, FanInFanOut: t.FanInFanOut, RsLoRA: t.RsLoRA,
		A: w.add(t.A), B: w.add(t.B), Base: w.add(t.Base), BaseSVD: sandbox.BaseSVD{U: w.add(t.U), S: w.add(t.S), V: w.add(t.V)},
	}
}

// features makes a table of the bank: a row for each entry, of NaN where it has none.
func features(rows [][]float64) sandbox.Matrix {
	m := sandbox.Matrix{Rows: len(rows)}
	for _, row := range rows {
		m.Cols = max(m.Cols, len(row))
	}
	for _, row := range rows {
		if row == nil {
			row = slices.Repeat([]float64{math.NaN()}, m.Cols)
		}
		m.Data = append(m.Data, row...)
	}
	return m
}

// conformanceInput is the adapter as a worker takes it, in one file.
func conformanceInput(t *testing.T, keep float64) sandbox.Input {
	t.Helper()
	adapter := input.New(keep)
	var w weights
	in := sandbox.Input{Attrs: adapter.Attrs, Params: adapter.Params,
		Bank: &sandbox.Bank{Names: adapter.Bank, Features: []sandbox.Matrix{features(adapter.BankFeatures)}}}
	for i, target := range adapter.Targets {
		in.Targets = append(in.Targets, w.target(target))
		in.Bank.Features = append(in.Bank.Features, features(adapter.BankTargets[i]))
	}
	for _, peer := range adapter.Peers {
		p := sandbox.Peer{Name: peer.Name}
		for _, target := range peer.Targets {
			var there *sandbox.Target
			if target.Name != "" {
				made := w.target(target)
				there = &made
			}
			p.Targets = append(p.Targets, there)
		}
		in.Peers = append(in.Peers, p)
	}
	file := temporary(t, w.content)
	for i := range in.Targets {
		open(file, &in.Targets[i])
	}
	for _, peer := range in.Peers {
		for _, target := range peer.Targets {
			if target != nil {
				open(file, target)
			}
		}
	}
	return in
}

// temporary is an open file with this content.
func temporary(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// open gives the sources of a target that there are their file.
func open(file *os.File, t *sandbox.Target) {
	for _, s := range []*sandbox.Source{&t.A, &t.B, &t.Base, &t.BaseSVD.U, &t.BaseSVD.S, &t.BaseSVD.V} {
		if s.Name != "" {
			s.Reader = file
		}
	}
}
