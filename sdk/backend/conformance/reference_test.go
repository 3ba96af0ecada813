package conformance

import (
	"bytes"
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// within runs a part of the suite on nothing, for tests of the suite itself.
func within(t *testing.T, test func(t T, k *kit)) {
	t.Helper()
	k := &kit{described: &backendpb.DescribeResponse{Dtypes: []string{"BF16", "F16", "F32"}}}
	heard := func(r Result) {
		for _, words := range r.Words {
			t.Log(words)
		}
	}
	if !Run(t.Context(), Options{Limit: time.Minute, Heard: heard}, func(t T) { t.Run("case", func(t T) { test(t, k) }) }) {
		t.Error("failed")
	}
}

// TestProductsTellOrders: a backend that adds a product in another order than the contract's is found out.
func TestProductsTellOrders(t *testing.T) {
	within(t, func(t T, k *kit) {
		b := k.plainBase(t)
		row := b.tensor("spread")
		rows, cols := int(row.Shape[0]), int(row.Shape[1])
		values, x := b.values["spread"], backend.Probe(1, row.Name, cols)
		differs := false
		for i, want := range product(row.Name, b.bytes(row), tensor.F32, rows, cols, 1) {
			var ascending float64
			for j := range cols {
				ascending += float64(values[i*cols+j]) * float64(x[j])
			}
			differs = differs || ascending != want
		}
		if !differs {
			t.Errorf("columns ascending give the same sums")
		}
	})
}

// TestRoundingTells: each way to round wrongly gives other bytes than the reference, on a fixture that is there to show it.
func TestRoundingTells(t *testing.T) {
	wrong := map[string]func(x, y, z float32) float32{
		"through f64":   func(x, y, z float32) float32 { return float32(float64(x)*float64(y) + float64(z)) },
		"product first": func(x, y, z float32) float32 { return float32(x*y) + z },
		"no subnormals": func(x, y, z float32) float32 {
			if v := fma(x, y, z); math.Abs(float64(v)) >= 0x1p-126 {
				return v
			}
			return 0
		},
	}
	within(t, func(t T, k *kit) {
		a := k.roundingAdapter(t)
		for name, multiply := range wrong {
			differs := false
			for _, p := range a.patches {
				fa, fb := a.values[p.A.Name], a.values[p.B.Name]
				rank, in := int(p.A.Shape[0]), int(p.A.Shape[1])
				for i := range int(p.B.Shape[0]) {
					for j := range in {
						var exact, other float32
						for k := range rank {
							exact, other = fma(fb[i*rank+k], fa[k*in+j], exact), multiply(fb[i*rank+k], fa[k*in+j], other)
						}
						differs = differs || exact != other
					}
				}
			}
			if !differs {
				t.Errorf("arithmetic %s is not found out", name)
			}
		}
	})
}

// TestFormsTell: patches of the forms show arithmetic that fuses what is rounded, or leaves out what is asked for.
func TestFormsTell(t *testing.T) {
	within(t, func(t T, k *kit) {
		k.described.Forms = forms
		a := k.formedAdapter(t, "all", formedWeights...)
		byName := map[string]*backendpb.Patch{}
		for _, p := range a.patches {
			byName[p.Tensor] = p
		}
		w, dense := a.base.values["dense"], a.values["dense.dense"]
		fused, scale := false, float32(byName["dense"].Scale)
		for i, v := range a.directions(byName["dense"]) {
			fused = fused || fma(scale, dense[i], w[i]) != v
		}
		if !fused {
			t.Errorf("a dense delta that is fused with the addition gives the same numbers")
		}
		for name, without := range map[string]func(p *backendpb.Patch){
			"four blocks":           func(p *backendpb.Patch) { p.Scale *= 2 },
			"start and factors":     func(p *backendpb.Patch) { p.Start = nil },
			"start and dense":       func(p *backendpb.Patch) { p.Dense = nil },
			"rows":                  func(p *backendpb.Patch) { p.StartRows[0], p.StartRows[1] = p.StartRows[1], p.StartRows[0] },
			"rows and factors":      func(p *backendpb.Patch) { p.A, p.B = nil, nil },
			"magnitudes":            func(p *backendpb.Patch) { p.Magnitude = nil },
			"magnitudes of columns": func(p *backendpb.Patch) { p.Magnitude = nil },
			"magnitudes of inputs":  func(p *backendpb.Patch) { p.Magnitude = nil },
			"magnitudes and dense":  func(p *backendpb.Patch) { p.Dense = nil },
			"magnitudes of a start": func(p *backendpb.Patch) { p.Start = nil },
		} {
			p := proto.CloneOf(byName[name])
			without(p)
			if bytes.Equal(a.merged(p).bytes, a.merged(byName[name]).bytes) {
				t.Errorf("%s: what was left out is not missed", name)
			}
		}
	})
}
