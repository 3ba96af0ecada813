// Package input is the adapter that the conformance guests are run on: in a worker by package wasm/conformance, and natively on the fake
// host of sdk/diag/diagtest. It is small, of odd shapes, and has something of everything that a guest can ask for.
package input

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// Manifest is that of the guests: the golden reports are those of a module with exactly this.
var Manifest = abi.Manifest{
	ID: "conformance", Version: "1.0.0", Title: "calls every function of the ABI", Cost: abi.CostVectors,
	Needs: []abi.Capability{abi.CapBase, abi.CapPeers, abi.CapKernels}, BaseSVDRank: 4,
	Params: map[string]abi.Parameter{"set": {Default: 1}, "default": {Default: 0.1}, "keep": {}},
}

// Limits leave room for everything but the one matrix that is made to go over them.
var Limits = abi.Limits{HostTensors: 1 << 20}

// Matrix is row-major and stored as DType, in which every value is exact. Where a target is FanInFanOut its Base is what the checkpoint
// stores, in x out. The zero Matrix is none.
type Matrix struct {
	Rows, Cols int
	DType      abi.DType
	Values     []float32
}

// Target is one adapted weight.
type Target struct {
	Name                string
	A, B, Base          Matrix
	U, S, V             Matrix // what base_svd is to give; no singular vectors of anything
	Scale, Alpha        float64
	FanInFanOut, RsLoRA bool
}

// Peer is an adapter to compare with, aligned with the targets; the zero Target stands for none.
type Peer struct {
	Name    string
	Targets []Target
}

// Adapter is the whole input.
type Adapter struct {
	Targets []Target // by name
	Peers   []Peer
	Attrs   map[string]string
	Params  map[string]float64
	// Of the bank: its entries, their features of the adapter as a whole, and of each target; a nil row is an entry without.
	Bank         []string
	BankFeatures [][]float64
	BankTargets  [][][]float64
}

// New makes the adapter: one target with everything, one that the checkpoint stores transposed and whose singular vectors nobody granted,
// and one without a base weight, with a name longer than any first buffer and with NaN, an infinity and a subnormal number in A. keep is
// the parameter keep.
func New(keep float64) Adapter {
	random := rand.New(rand.NewPCG(5, 1))
	// Multiples of 1/64 below 2 in magnitude, which BF16 holds with at most eight significant bits; every ninth is 0.
	matrix := func(dtype abi.DType, rows, cols int) Matrix {
		m := Matrix{rows, cols, dtype, make([]float32, rows*cols)}
		for i := range m.Values {
			if m.Values[i] = float32(int(random.Uint64()%255)-127) / 64; i%9 == 8 {
				m.Values[i] = 0
			}
		}
		return m
	}
	const f32, bf16 = abi.DTypeF32, abi.DTypeBF16
	plain := Target{Name: "model.layers.0.self_attn.q_proj.weight", Scale: 2.0 / 3, Alpha: 2,
		A: matrix(f32, 3, 64), B: matrix(f32, 37, 3), Base: matrix(bf16, 37, 64),
		U: matrix(f32, 37, 4), S: matrix(f32, 1, 4), V: matrix(f32, 64, 4)}
	turned := Target{Name: "transformer.h.0.attn.c_attn.weight", Scale: -0.0625, Alpha: 8, FanInFanOut: true,
		A: matrix(bf16, 2, 5), B: matrix(f32, 128, 2), Base: matrix(f32, 5, 128)}
	adrift := Target{Name: strings.Repeat("é", 200) + ".weight", Scale: 1e-3, Alpha: 16, RsLoRA: true,
		A: Matrix{1, 7, f32, []float32{1, float32(math.NaN()), 1e-40, 0, -2, float32(math.Inf(-1)), 3}}, B: matrix(f32, 11, 1)}
	first := Target{Name: plain.Name, Scale: plain.Scale, Alpha: plain.Alpha, A: matrix(f32, 2, 64), B: matrix(bf16, 37, 2)}
	third := Target{Name: adrift.Name, Scale: adrift.Scale, Alpha: adrift.Alpha, RsLoRA: true, A: matrix(f32, 1, 7), B: adrift.B}
	return Adapter{
		Targets: []Target{plain, turned, adrift},
		Peers: []Peer{{Name: strings.Repeat("0a", 32), Targets: []Target{first, {}, third}},
			{Name: strings.Repeat("1b", 32), Targets: make([]Target, 3)}},
		Attrs: map[string]string{"adapter.digest": strings.Repeat("c2", 32), "adapter.format": "peft", "base.digest": strings.Repeat("d3", 32),
			"base.architecture": strings.Repeat("long ", 100), "init_lora_weights": "", "probe.perplexity": "12.5"},
		Params:       map[string]float64{"set": math.Pi, "keep": keep},
		Bank:         []string{strings.Repeat("e4", 32), strings.Repeat("f5", 32)},
		BankFeatures: [][]float64{{1, 2, 3}, nil},
		BankTargets:  [][][]float64{nil, {{-0.5}, {1e300}}, nil},
	}
}
