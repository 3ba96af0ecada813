package compress

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

const layer = "base_model.model.model.layers."

func twoModules(dtype tensor.DType) map[string]factor {
	return map[string]factor{
		layer + "0.self_attn.q_proj.lora_A.weight": random(dtype, 6, 24, 1), layer + "0.self_attn.q_proj.lora_B.weight": random(dtype, 16, 6, 2),
		layer + "0.self_attn.v_proj.lora_A.weight": random(dtype, 6, 24, 3), layer + "0.self_attn.v_proj.lora_B.weight": random(dtype, 8, 6, 4),
	}
}

func config() map[string]any {
	return map[string]any{
		"peft_type": "LORA", "r": 6, "lora_alpha": -9, "bias": "none", "target_modules": []string{"q_proj", "v_proj"}, "use_rslora": true,
		"base_model_name_or_path": "some/base", "lora_dropout": 0.05, "task_type": "CAUSAL_LM", "init_lora_weights": "orthogonal",
	}
}

func TestFullRankReproducesTheChange(t *testing.T) {
	for _, c := range []struct {
		dtype tensor.DType
		limit float64
	}{{tensor.F32, 2e-7}, {tensor.F16, 1.2e-3}, {tensor.BF16, 9e-3}} {
		t.Run(c.dtype.String(), func(t *testing.T) {
			a := open(t, save(t, config(), twoModules(c.dtype)))
			for _, choice := range []Choice{{Rank: 6}, {Rank: 1000}, {Energy: 1}} {
				p, written := compressed(t, a, choice)
				if p.Energy() != 1 || len(written.Pairs) != 2 || written.Config.RsLoRA || written.Config.InitWeights != "true" {
					t.Errorf("%+v: energy %v, %d pairs, %+v", choice, p.Energy(), len(written.Pairs), written.Config)
				}
				for _, pair := range written.Pairs {
					if pair.Rank != 6 || pair.Scale != 1 || pair.A.DType != c.dtype || pair.B.DType != c.dtype {
						t.Errorf("%+v: %+v", choice, pair)
					}
					if d := distance(change(t, a, pair.Module), change(t, written, pair.Module)); d > c.limit {
						t.Errorf("%+v: %s differs by %g", choice, pair.Module, d)
					}
				}
			}
		})
	}
}

func TestEnergyIsWhatIsKept(t *testing.T) {
	a := open(t, save(t, config(), twoModules(tensor.F32)))
	for _, choice := range []Choice{{Rank: 1}, {Rank: 3}, {Energy: 0.5}, {Energy: 0.9}} {
		p, written := compressed(t, a, choice)
		for i, target := range p.Targets {
			share := target.EnergyKept / target.Energy
			got := distance(change(t, a, target.Module), change(t, written, target.Module))
			if want := math.Sqrt(1 - share); math.Abs(got-want) > 1e-6 {
				t.Errorf("%+v: %s differs by %g, and %g of the energy is kept", choice, target.Module, got, share)
			}
			if written.Pairs[i].Rank != target.Kept || written.Pairs[i].Scale != 1 {
				t.Errorf("%+v: %+v", choice, written.Pairs[i])
			}
			if choice.Energy > 0 {
				_, s, _, _, err := kernel.DeltaSVD(asMatrix(t, a, a.Pairs[i].B), asMatrix(t, a, a.Pairs[i].A), a.Pairs[i].Scale)
				if err != nil {
					t.Fatal(err)
				}
				if fewer := share - s[target.Kept-1]*s[target.Kept-1]/target.Energy; share < choice.Energy || fewer >= choice.Energy {
					t.Errorf("%+v: %d directions keep %g, one fewer %g", choice, target.Kept, share, fewer)
				}
			}
		}
	}
}

func asMatrix(t *testing.T, a *adapter.Adapter, f safetensors.Tensor) *kernel.Matrix {
	t.Helper()
	m, err := matrix(a.Weights, f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRanksOfTheirOwn has modules of which one ends like another, one with a character that means something in a regular expression, and one
// that changes nothing.
func TestRanksOfTheirOwn(t *testing.T) {
	ranks := map[string]int{"proj": 2, "deep.proj": 6, "deep.er.proj": 1, "deepxproj": 4, "de+ep.proj": 3, "zero.proj": 0}
	tensors := map[string]factor{}
	for i, module := range slices.Sorted(maps.Keys(ranks)) {
		a, b := random(tensor.F32, 6, 24, uint64(2*i+1)), random(tensor.F32, 16, 6, uint64(2*i+2))
		for k := ranks[module]; k < 6; k++ {
			clear(a.values[k*24 : (k+1)*24])
		}
		tensors["base_model.model."+module+".lora_A.weight"], tensors["base_model.model."+module+".lora_B.weight"] = a, b
	}
	settings := config()
	settings["target_modules"] = ".*proj"
	settings["use_rslora"], settings["init_lora_weights"] = false, true
	a := open(t, save(t, settings, tensors))
	p, written := compressed(t, a, Choice{Rank: 6})
	for i, pair := range written.Pairs {
		if want := max(ranks[pair.Module], 1); pair.Rank != want || pair.Scale != 1 || pair.Alpha != float64(want) {
			t.Errorf("%s: %+v, want rank %d", pair.Module, pair, want)
		}
		if p.Targets[i].Numerical != ranks[pair.Module] {
			t.Errorf("%s: numerical rank %d", pair.Module, p.Targets[i].Numerical)
		}
	}
	if written.Config.Rank != 6 || written.Config.Alpha != 6 {
		t.Errorf("r %d, alpha %v", written.Config.Rank, written.Config.Alpha)
	}
	for _, v := range change(t, written, "zero.proj") {
		if v != 0 {
			t.Fatal("a change of nothing became one")
		}
	}
}

// TestConfigurationIsKept looks at the text: the fields stay, in their order, and nothing is added that is not needed.
func TestConfigurationIsKept(t *testing.T) {
	dir := save(t, config(), twoModules(tensor.F32))
	text := `{"z_later": {"kept": [1.50, null]}, "peft_type": "LORA", "r": 6, "eva_config": {"rho": 2}, "lora_alpha": 12, "init_lora_weights": "eva",
		"target_modules": ["v_proj", "q_proj"], "base_model_name_or_path": "some/base", "lora_dropout": 0.10}`
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := New(t.Context(), open(t, dir), Choice{Rank: 2})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(string(p.config)), " ")
	want := `{ "z_later": { "kept": [ 1.50, null ] }, "peft_type": "LORA", "r": 2, "eva_config": null, "lora_alpha": 2, "init_lora_weights": true, ` +
		`"target_modules": [ "v_proj", "q_proj" ], "base_model_name_or_path": "some/base", "lora_dropout": 0.10 }`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if p.layout.metadata["author"] != "a test" {
		t.Errorf("metadata %v", p.layout.metadata)
	}
}

func TestSameBytes(t *testing.T) {
	a := open(t, save(t, config(), twoModules(tensor.BF16)))
	_, first := compressed(t, a, Choice{Energy: 0.8})
	_, second := compressed(t, a, Choice{Energy: 0.8})
	if first.Digest != second.Digest {
		t.Errorf("%x and %x", first.Digest, second.Digest)
	}
}

func TestRefusals(t *testing.T) {
	a := open(t, save(t, config(), twoModules(tensor.F32)))
	for _, choice := range []Choice{{}, {Rank: 2, Energy: 0.5}, {Rank: -1}, {Energy: 1.01}, {Energy: math.NaN()}, {Energy: -0.1}} {
		if _, err := New(t.Context(), a, choice); fault.ClassOf(err) != fault.Usage {
			t.Errorf("%+v: %v", choice, err)
		}
	}
	tensors := twoModules(tensor.F32)
	tensors[layer+"0.self_attn.q_proj.lora_B.weight"].values[3] = math.NaN()
	tensors[layer+"0.self_attn.v_proj.lora_A.weight"].values[3] = math.Inf(1)
	_, err := New(t.Context(), open(t, save(t, config(), tensors)), Choice{Rank: 2})
	if list := fault.All(err); len(list) != 2 || list[0].Code != fault.ADNonFinite || list[1].Code != fault.ADNonFinite {
		t.Errorf("not finite: %v", err)
	}
	large := twoModules(tensor.F16)
	for i := range large[layer+"0.self_attn.q_proj.lora_B.weight"].values {
		large[layer+"0.self_attn.q_proj.lora_B.weight"].values[i] = 65504
		if i < 6*24 {
			large[layer+"0.self_attn.q_proj.lora_A.weight"].values[i] = 65504
		}
	}
	settings := config()
	settings["lora_alpha"] = 600
	if _, err := New(t.Context(), open(t, save(t, settings, large)), Choice{Rank: 2}); fault.ClassOf(err) != fault.Rejected ||
		!strings.Contains(err.Error(), "F16 cannot hold") {
		t.Errorf("too large: %v", err)
	}
	p, err := New(t.Context(), a, Choice{Rank: 2})
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := p.Write(t.Context(), out); fault.All(err)[0].Code != fault.MergeExists {
		t.Errorf("existing: %v", err)
	}
	if err := p.Write(t.Context(), filepath.Join(out, "no", "where")); fault.ClassOf(err) != fault.Operational {
		t.Errorf("no parent: %v", err)
	}
	// Damage between planning and reading back is caught, and leaves nothing behind.
	clear(p.Targets[0].a)
	if err := p.Write(t.Context(), filepath.Join(out, "damaged")); fault.All(err)[0].Code != fault.MergeMismatch {
		t.Errorf("damaged: %v", err)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestChangedConfiguration replaces the configuration after the adapter was opened.
func TestChangedConfiguration(t *testing.T) {
	dir := save(t, config(), twoModules(tensor.F32))
	a := open(t, dir)
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(`{"peft_type": "LORA"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), a, Choice{Rank: 2}); fault.All(err)[0].Code != fault.STChanged {
		t.Errorf("%v", err)
	}
}

func TestTrainedAdapters(t *testing.T) {
	for _, c := range []struct {
		dir      string
		choice   Choice
		energy   float64 // at least
		smallest int
	}{
		{"models/tiny-llama/adapters/e2e-all-r16", Choice{Energy: 0.99}, 0.99, 2},
		{"models/tiny-llama/adapters/e2e-qv-r64-s0", Choice{Rank: 8}, 0.5, 8},
		{"models/real/gpt2-tigrinya", Choice{Rank: 4}, 0.5, 4},
	} {
		t.Run(fmt.Sprint(filepath.Base(c.dir), c.choice), func(t *testing.T) {
			dir, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", c.dir))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(dir); err != nil {
				t.Skipf("no test data: %v", err)
			}
			p, written := compressed(t, open(t, dir), c.choice)
			if p.Energy() < c.energy || p.BytesAfter >= p.BytesBefore {
				t.Errorf("energy %v, %d of %d bytes", p.Energy(), p.BytesAfter, p.BytesBefore)
			}
			if ranks := written.Ranks(); ranks[0] < c.smallest {
				t.Errorf("ranks %v", ranks)
			}
		})
	}
}
