package modules

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// golden is golden.json: what numpy gave in f64.
type golden struct {
	Adapters map[string]struct {
		Targets map[string]struct {
			Metrics map[string]float64 `json:"metrics"`
		} `json:"targets"`
	} `json:"adapters"`
}

// goldenPair is one entry of golden_pairs.json.
type goldenPair struct {
	A, B, Target string
	PhiA         [][]float64 `json:"phi_a"`
	PhiDelta     [][]float64 `json:"phi_delta"`
	PhiDeltaLeft [][]float64 `json:"phi_delta_left"`
	Null11       float64     `json:"null_11"`
	SD11         float64     `json:"sd_11"`
	Cosine       float64
}

const (
	tolerance = 1e-9 // relative for metrics of pairs, absolute for φ, of which the file's ten decimals leave 5e-11 open
	// zTolerance is for z, which is φ in units of a standard deviation of down to 1/140.
	zTolerance = 1e-7
)

// inGolden says how many of a module's metrics of each target are in golden.json.
var inGolden = map[string]int{"amplification": 10, "hygiene": 0, "merge-loss": 3, "outliers": 0, "spectrum": 6}

// Every metric of every trained adapter, from the guest in its sandbox, is what numpy computed.
func TestGoldenMetrics(t *testing.T) {
	needTinyLlama(t)
	var reference golden
	readJSON(t, filepath.Join(tinyLlama, "golden.json"), &reference)
	base := readWeights(t, filepath.Join(tinyLlama, "base", "model.safetensors"))
	svds := map[string]sandbox.BaseSVD{}
	runner := newRunner(t)
	for adapter, want := range reference.Adapters {
		targets := readTargets(t, base, adapter)
		for i := range targets {
			name := targets[i].Name
			if _, ok := svds[name]; !ok {
				svds[name] = decompose(t, targets[i])
			}
			targets[i].BaseSVD = svds[name]
		}
		for module, golden := range inGolden {
			t.Run(adapter+"/"+module, func(t *testing.T) {
				result := runner.run(t, module, sandbox.Input{Targets: targets})
				spare := false
				for _, finding := range result.Findings {
					spare = spare || finding.Code == "RANK_TO_SPARE"
					if finding.Severity != abi.Info {
						t.Errorf("a healthy adapter has the finding %+v", finding)
					}
				}
				if want := module == "spectrum" && targets[0].Rank == 64; spare != want {
					t.Errorf("a rank to spare is found: %t, want %t", spare, want)
				}
				compared := 0
				for _, m := range result.Metrics {
					if m.Target < 0 {
						continue
					}
					name := targets[m.Target].Name
					value, ok := want.Targets[name].Metrics[m.Name]
					if !ok {
						continue
					}
					compared++
					if !(math.Abs(m.Value-value) <= 1e-9*math.Abs(value)) {
						t.Errorf("%s of %s is %.17g, want %.17g", m.Name, name, m.Value, value)
					}
				}
				if compared != golden*len(want.Targets) {
					t.Errorf("%d metrics compared, want %d for each of %d targets", compared, golden, len(want.Targets))
				}
			})
		}
	}
}

// Every φ of every pair is what numpy computed, where the singular values say which direction is which; at full ranks always.
func TestGoldenPairs(t *testing.T) {
	needTinyLlama(t)
	var pairs []goldenPair
	readJSON(t, filepath.Join(tinyLlama, "golden_pairs.json"), &pairs)
	base := readWeights(t, filepath.Join(tinyLlama, "base", "model.safetensors"))
	runner := newRunner(t)
	with := map[string][]string{} // the peers of each adapter
	for _, pair := range pairs {
		if !slices.Contains(with[pair.A], pair.B) {
			with[pair.A] = append(with[pair.A], pair.B)
		}
	}
	for adapter, peers := range with {
		t.Run(adapter, func(t *testing.T) {
			input := sandbox.Input{Targets: readTargets(t, base, adapter)}
			for _, peer := range peers {
				input.Peers = append(input.Peers, alignedPeer(peer, input.Targets, readTargets(t, base, peer)))
			}
			result := runner.run(t, "similarity", input)
			if len(result.Findings) > 0 {
				t.Errorf("findings %+v", result.Findings)
			}
			var ours []goldenPair
			for _, pair := range pairs {
				if pair.A == adapter {
					ours = append(ours, pair)
				}
			}
			given := index(input, result)
			for _, pair := range ours {
				comparePair(t, pair, given)
			}
		})
	}
}

// key names a metric or grid of a result.
type key struct{ target, peer, name string }

type indexed struct {
	metrics map[key]float64
	grids   map[key]sandbox.Grid
}

func index(input sandbox.Input, result sandbox.Result) indexed {
	out := indexed{map[key]float64{}, map[key]sandbox.Grid{}}
	name := func(target, peer int, name string) key {
		k := key{target: input.Targets[target].Name, name: name}
		if peer >= 0 {
			k.peer = input.Peers[peer].Name
		}
		return k
	}
	for _, m := range result.Metrics {
		out.metrics[name(m.Target, m.Peer, m.Name)] = m.Value
	}
	for _, g := range result.Grids {
		out.grids[name(g.Target, g.Peer, g.Name)] = g
	}
	return out
}

func comparePair(t *testing.T, want goldenPair, given indexed) {
	t.Helper()
	metric := func(name string, value, tolerance float64) {
		t.Helper()
		got, ok := given.metrics[key{want.Target, want.B, name}]
		if !ok || !(math.Abs(got-value) <= tolerance*max(1, math.Abs(value))) {
			t.Errorf("%s of %s with %s is %.17g, want %.17g, %t", name, want.Target, want.B, got, value, ok)
		}
	}
	metric("cosine", want.Cosine, tolerance)
	metric("phi_a_11_null", want.Null11, tolerance)
	metric("phi_delta_11_z", (want.PhiDelta[0][0]-want.Null11)/want.SD11, zTolerance)
	for _, mode := range []struct {
		name, gap string
		phi       [][]float64
	}{{"phi_a", "gap_a", want.PhiA}, {"phi_delta", "gap", want.PhiDelta}, {"phi_delta_left", "gap", want.PhiDeltaLeft}} {
		rows, cols := len(mode.phi), len(mode.phi[0])
		metric(mode.name+"_full", mode.phi[rows-1][cols-1], tolerance)
		grid := given.grids[key{want.Target, want.B, mode.name}]
		own, theirs := given.grids[key{target: want.Target, name: mode.gap}], given.grids[key{want.Target, want.B, mode.gap + "_with"}]
		if grid.Rows != rows || grid.Cols != cols || len(own.Values) != rows || len(theirs.Values) != cols {
			t.Errorf("%s of %s with %s is %d x %d with gaps of %d and %d, want %d x %d", mode.name, want.Target, want.B, grid.Rows, grid.Cols,
				len(own.Values), len(theirs.Values), rows, cols)
			continue
		}
		for i, row := range mode.phi {
			for j, value := range row {
				defined := own.Values[i] > 1e-4 && theirs.Values[j] > 1e-4 || i == rows-1 && j == cols-1
				if got := grid.Values[i*cols+j]; defined && !(math.Abs(got-value) <= tolerance) {
					t.Errorf("%s(%d, %d) of %s with %s is %.12g, want %.12g", mode.name, i+1, j+1, want.Target, want.B, got, value)
				}
			}
		}
	}
}

// cache keeps compiled modules for the tests of this package.
var cache string

func TestMain(m *testing.M) {
	var err error
	if cache, err = os.MkdirTemp("", "tenon-modules-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(cache)
	os.Exit(code)
}

// runner runs the built modules by id.
type runner map[string]Module

func newRunner(t *testing.T) runner {
	t.Helper()
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	r := runner{}
	for _, module := range all {
		r[module.Manifest.ID] = module
	}
	return r
}

func (r runner) run(t *testing.T, id string, input sandbox.Input) sandbox.Result {
	t.Helper()
	module := r[id]
	result := sandbox.Run(t.Context(), sandbox.Options{
		Wasm: module.Wasm, Manifest: module.Manifest, Granted: module.Manifest.Needs, Input: input, CacheDir: filepath.Join(cache, id),
	})
	if result.Status != sandbox.OK {
		t.Fatalf("%s ended as %s, code %d: %s\n%s", id, result.Status, result.Code, result.Error, result.Log)
	}
	return result
}

// alignedPeer orders the targets of another adapter as those of this one.
func alignedPeer(name string, own, theirs []sandbox.Target) sandbox.Peer {
	peer := sandbox.Peer{Name: name, Targets: make([]*sandbox.Target, len(own))}
	for i := range theirs {
		for j := range own {
			if own[j].Name == theirs[i].Name {
				peer.Targets[j] = &theirs[i]
			}
		}
	}
	return peer
}

// decompose gives the singular triples of a base weight, by gonum.
func decompose(t *testing.T, target sandbox.Target) sandbox.BaseSVD {
	t.Helper()
	raw := make([]byte, target.Base.Length)
	if _, err := target.Base.Reader.ReadAt(raw, target.Base.Offset); err != nil {
		t.Fatal(err)
	}
	values := make([]float64, target.Base.Elements())
	if err := tensor.ToF64(values, raw, target.Base.DType); err != nil {
		t.Fatal(err)
	}
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(target.Out, target.In, values), mat.SVDThin) {
		t.Fatalf("gonum has no SVD of %s", target.Name)
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	s := svd.Values(nil)
	return sandbox.BaseSVD{
		U: source("U", target.Out, len(s), u.RawMatrix().Data), S: source("S", 1, len(s), s),
		V: source("V", target.In, len(s), v.RawMatrix().Data),
	}
}

func source(name string, rows, cols int, values []float64) sandbox.Source {
	raw := make([]byte, 0, 8*len(values))
	for _, value := range values {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(value))
	}
	return sandbox.Source{
		Ref:    tensor.Ref{Name: name, DType: tensor.F64, Shape: []int{rows, cols}, Length: int64(len(raw))},
		Reader: bytes.NewReader(raw),
	}
}

func needTinyLlama(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(tinyLlama); err != nil {
		t.Skipf("skipped: the trained adapters are not beside the repository: %v", err)
	}
}
