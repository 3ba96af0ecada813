package hostile

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// sampleInput is an adapter with one target of 16 x 16 and rank 2, its base, the base's top singular triples and a peer, in one file, and a
// bank.
func sampleInput(t testing.TB) sandbox.Input {
	t.Helper()
	const size, rank = 16, 2
	var content []byte
	var sources []*sandbox.Source
	random := rand.New(rand.NewPCG(1, 2))
	source := func(name string, rows, cols int) *sandbox.Source {
		offset := len(content)
		for range rows * cols {
			content = binary.LittleEndian.AppendUint32(content, math.Float32bits(float32(random.NormFloat64())))
		}
		s := &sandbox.Source{Ref: tensor.Ref{Name: name, DType: tensor.F32, Shape: []int{rows, cols}, Offset: int64(offset),
			Length: int64(len(content) - offset)}}
		sources = append(sources, s)
		return s
	}
	a, b, w := source("a", rank, size), source("b", size, rank), source("w", size, size)
	u, s, v, other := source("u", size, 2), source("s", 1, 2), source("v", size, 2), source("other", rank, size)
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	for _, s := range sources {
		s.Reader = file
	}
	target := sandbox.Target{Name: "w", A: *a, B: *b, Base: *w, Rank: rank, In: size, Out: size, Scale: 0.1, Alpha: 1,
		BaseSVD: sandbox.BaseSVD{U: *u, S: *s, V: *v}}
	peer := target
	peer.A, peer.Base, peer.BaseSVD = *other, sandbox.Source{}, sandbox.BaseSVD{}
	bank := &sandbox.Bank{Names: []string{"sha256:f00d"}, Features: []sandbox.Matrix{{Rows: 1, Cols: 1, Data: []float64{1}}, {}}}
	peers := []sandbox.Peer{{Name: "peer", Targets: []*sandbox.Target{&peer}}}
	return sandbox.Input{Targets: []sandbox.Target{target}, Peers: peers, Bank: bank,
		Attrs: map[string]string{"module.id": "fuzzed"}, Params: map[string]float64{"alpha": 1}}
}
