package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// everything is every capability.
var everything = []abi.Capability{abi.CapBase, abi.CapPeers, abi.CapKernels}

// randomInput is an adapter with one target of size x size, its base, the base's two top singular triples and a peer, in one file. It is
// large enough for the kernels to share their work out.
func randomInput(t *testing.T, size, rank int) sandbox.Input {
	t.Helper()
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
	t.Cleanup(func() { file.Close() })
	for _, s := range sources {
		s.Reader = file
	}
	target := sandbox.Target{Name: "w", A: *a, B: *b, Base: *w, Rank: rank, In: size, Out: size, Scale: 0.1, Alpha: 1,
		BaseSVD: sandbox.BaseSVD{U: *u, S: *s, V: *v}}
	peer := target
	peer.A, peer.Base, peer.BaseSVD = *other, sandbox.Source{}, sandbox.BaseSVD{}
	return sandbox.Input{Targets: []sandbox.Target{target}, Bank: sampleBank(), Peers: []sandbox.Peer{{Name: "peer", Targets: []*sandbox.Target{&peer}}}}
}

// everyKernel is a guest that gives some of what each kernel makes of target 0.
func everyKernel() wasmtest.Module {
	const out, values, n = wasmtest.Scratch, wasmtest.Scratch + 1024, 3000
	const a, b, w = wasmtest.LoadI32(out), wasmtest.LoadI32(out + 4), wasmtest.LoadI32(out + 8)
	const first, second, third = wasmtest.LoadI32(out + 512), wasmtest.LoadI32(out + 516), wasmtest.LoadI32(out + 520)
	do := wasmtest.Do
	var steps []wasmtest.Step
	give := func(name string, handle any, n int) {
		steps = append(steps, do("tensor_read_f64", handle, int64(0), values, n), do("grid", 0, -1, name, 1, n, values))
	}
	steps = append(steps, do("target_info", 0, out), do("matmul", b, a, 0))
	const product = 3 // handles count up, after a, b and w
	give("matmul", product, n)
	steps = append(steps, do("qr", product, out+512))
	give("q", first, n)
	give("r", second, n)
	steps = append(steps, do("delta_svd", b, a, 0.5, out+512))
	give("u", first, n)
	give("s", second, 16)
	give("v", third, n)
	steps = append(steps, do("project", w, first, third))
	give("project", 9, 16*16)
	steps = append(steps, do("svd", 9, out+512))
	give("core", second, 16)
	steps = append(steps, do("axpby", 2.0, first, -3.0, third))
	give("axpby", 13, 16*16)
	steps = append(steps, do("stats", w, values), do("grid", 0, -1, "stats", 1, 12, values),
		do("round_loss", 0, 2, values), do("grid", 0, -1, "round_loss", 1, 10, values))
	steps = append(steps, do("delta_values", b, a, 0.5, out+512))
	give("delta_values", first, 16)
	steps = append(steps, do("delta_svd", b, a, 0.5, out+512), do("project_stats", w, first, third, values),
		do("grid", 0, -1, "stats_beside", 1, 12, values))
	give("projection", 18, 16*16)
	steps = append(steps, do("merged_svd", 0, 4, out+512))
	give("merged_u", first, 512*4)
	give("merged_s", second, 4)
	bf16, nf4 := math.Float64frombits(uint64(abi.FormatBF16)|uint64(abi.FormatQ8_0)<<32), math.Float64frombits(uint64(abi.FormatNF4))
	steps = append(steps, do("rounding", 0, int64(3), int64(500), []float64{bf16, nf4}, 3, values), do("grid", 0, -1, "rounding", 3, 12, values))
	steps = append(steps, do("bank_features", 0))
	give("bank", 22, 4)
	return wasmtest.Script(steps...)
}

// TestSameInputGivesTheSameBytes runs each guest three times: compiled and from the cache, on two threads and on one.
func TestSameInputGivesTheSameBytes(t *testing.T) {
	jobs := map[string]Job{"every kernel": job(everyKernel(), abi.Limits{})}
	if !raceDetector { // which takes a minute to compile a Go guest
		builtin, err := modules.Builtin()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range builtin {
			jobs[m.Manifest.ID] = Job{Wasm: m.Wasm, SHA256: sha256.Sum256(m.Wasm), Manifest: m.Manifest}
		}
	}
	input := randomInput(t, 512, 16)
	quiet := map[string]bool{"hygiene": true, "outliers": true} // which have nothing to say about one sound weight
	cache := filepath.Join(t.TempDir(), "cache")
	for name, j := range jobs {
		t.Run(name, func(t *testing.T) {
			j.Input, j.Granted = input, everything
			j.Limits = abi.Limits{RunMillis: 600_000, CompileMillis: 600_000} // time is not what this is about, and the race detector takes it
			if name == "every kernel" {
				j.Manifest.Needs = everything
			}
			var want []byte
			for i, threads := range []int{2, 2, 1} {
				result, _ := (&Runner{CacheDir: cache, Threads: threads}).Run(context.Background(), j)
				if result.Status != sandbox.OK || len(result.Metrics)+len(result.Grids)+len(result.Findings) == 0 && !quiet[name] {
					t.Fatalf("%s %q: %d metrics, %s", result.Status, result.Error, len(result.Metrics), result.Log)
				}
				for _, m := range result.Metrics {
					if name == "every kernel" && m.Value < 0 {
						t.Errorf("%s is %v, %s", m.Name, m.Value, result.Log)
					}
				}
				result.Usage = sandbox.Usage{}
				got, err := encodeAnswer(result, nil)
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					want = got
				} else if !bytes.Equal(got, want) {
					t.Errorf("run %d, on %d threads, differs:\n%.500s\n%.500s", i, threads, got, want)
				}
			}
		})
	}
}
