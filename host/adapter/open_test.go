package adapter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestOpen(t *testing.T) {
	dir := adapterFolder(t, plainConfig(), plainTensors())
	a := opened(t, dir)
	if len(a.Pairs) != 2 || a.Pairs[0].Module != "model.layers.0.self_attn.q_proj" {
		t.Fatalf("pairs %+v", a.Pairs)
	}
	if p := a.Pairs[1]; p.Rank != 4 || p.Alpha != 8 || p.Scale != 2 || p.B.Shape[0] != 8 || p.A.Shape[1] != 16 {
		t.Errorf("pair %+v", p)
	}
	if a.Parameters() != 4*16+16*4+4*16+8*4 || fmt.Sprint(a.Ranks(), a.Scales()) != "[4] [2]" || a.Format != FormatPEFT {
		t.Errorf("parameters %d ranks %v scales %v", a.Parameters(), a.Ranks(), a.Scales())
	}
	var lines strings.Builder
	for _, name := range []string{configName, weightsName} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		lines.WriteString(hex.EncodeToString(sum[:]) + "  " + name + "\n")
	}
	if a.Digest != sha256.Sum256([]byte(lines.String())) {
		t.Error("the digest is not that of the two files' lines")
	}
	if len(a.Notes) != 0 {
		t.Errorf("notes %v", a.Notes)
	}
}

func TestOpenScales(t *testing.T) {
	for _, c := range []struct {
		name   string
		config map[string]any
		q, v   float64
		rank   []int
	}{
		{"alpha over r", nil, 2, 2, nil},
		{"rank-stabilized", map[string]any{"use_rslora": true}, 4, 4, nil},
		{"alpha pattern", map[string]any{"alpha_pattern": map[string]any{"v_proj": 3.0}}, 2, 0.75, nil},
		{"rank pattern", map[string]any{"r": 16, "rank_pattern": map[string]any{"q_proj|v_proj": 4}}, 2, 2, nil},
		{"both patterns, rank-stabilized", map[string]any{
			"use_rslora": true, "r": 9, "rank_pattern": map[string]any{`.*`: 4}, "alpha_pattern": map[string]any{"layers.0.*v_proj": 1},
		}, 4, 0.5, nil},
		{"negative", map[string]any{"lora_alpha": -8}, -2, -2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := opened(t, adapterFolder(t, with(plainConfig(), c.config), plainTensors()))
			if q, v := a.Pairs[0].Scale, a.Pairs[1].Scale; q != c.q || v != c.v {
				t.Errorf("scales %g and %g, want %g and %g", q, v, c.q, c.v)
			}
		})
	}
	t.Run("rank-stabilized, exactly", func(t *testing.T) {
		tensors := map[string]stored{qProj + ".lora_A.weight": f32(3, 16), qProj + ".lora_B.weight": f32(16, 3)}
		a := opened(t, adapterFolder(t, with(plainConfig(), map[string]any{
			"use_rslora": true, "r": 3, "lora_alpha": 7, "target_modules": []string{"q_proj"},
		}), tensors))
		if a.Pairs[0].Scale != 7/math.Sqrt(3) {
			t.Errorf("scale %v", a.Pairs[0].Scale)
		}
	})
}

func TestOpenAcceptsSpellings(t *testing.T) {
	for name, spell := range map[string]func(string) string{
		"legacy prefix": func(s string) string { return strings.Replace(s, "base_model.model.", "base_model.", 1) },
		"no prefix":     func(s string) string { return strings.TrimPrefix(s, "base_model.model.") },
		"adapter name":  func(s string) string { return strings.Replace(s, ".weight", ".default.weight", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			tensors := make(map[string]stored)
			for key, value := range plainTensors() {
				tensors[spell(key)] = value
			}
			if name == "legacy prefix" { // "base_model." then a module tree that does not begin with "model."
				tensors = map[string]stored{"base_model.h.0.q_proj.lora_A.weight": f32(4, 16), "base_model.h.0.q_proj.lora_B.weight": f32(16, 4)}
			}
			config := plainConfig()
			if len(tensors) == 2 {
				config["target_modules"] = []string{"q_proj"}
			}
			a := opened(t, adapterFolder(t, config, tensors))
			if strings.HasPrefix(a.Pairs[0].Module, "base_model") {
				t.Errorf("module %s", a.Pairs[0].Module)
			}
		})
	}
	t.Run("half precision", func(t *testing.T) {
		opened(t, adapterFolder(t, plainConfig(), with(plainTensors(), map[string]any{
			qProj + ".lora_A.weight": stored{tensor.F16, []int{4, 16}}, qProj + ".lora_B.weight": stored{tensor.BF16, []int{16, 4}},
		})))
	})
	t.Run("file URL", func(t *testing.T) {
		opened(t, "file://"+adapterFolder(t, plainConfig(), plainTensors()))
	})
}

func TestOpenCrossChecksTargetModules(t *testing.T) {
	for _, c := range []struct {
		name   string
		config map[string]any
		codes  []fault.Code
		says   []string
	}{
		{"expression", map[string]any{"target_modules": `.*\.self_attn\.(q|v)_proj`}, nil, nil},
		{"all-linear", map[string]any{"target_modules": AllLinear}, nil, nil},
		{"full path", map[string]any{"target_modules": []string{"model.layers.0.self_attn.q_proj", "v_proj"}}, nil, nil},
		{"its layer", map[string]any{"layers_to_transform": []int{0, 3}, "layers_pattern": "layers"}, nil, nil},
		{"its layer, no pattern", map[string]any{"layers_to_transform": 0}, nil, nil},
		{"excludes another", map[string]any{"exclude_modules": []string{"k_proj"}}, nil, nil},
		{"lists one too many", map[string]any{"target_modules": []string{"q_proj", "v_proj", "k_proj"}},
			[]fault.Code{fault.ADTargetModules}, []string{"k_proj", "#/target_modules"}},
		{"lists one too few", map[string]any{"target_modules": []string{"q_proj"}},
			[]fault.Code{fault.ADTargetModules, fault.ADTargetModules}, []string{"v_proj.lora_A", "v_proj.lora_B"}},
		{"expression of others", map[string]any{"target_modules": `.*q_proj`},
			[]fault.Code{fault.ADTargetModules, fault.ADTargetModules}, nil},
		{"expression must match whole", map[string]any{"target_modules": `q_proj|.*v_proj`},
			[]fault.Code{fault.ADTargetModules, fault.ADTargetModules}, nil},
		{"another layer", map[string]any{"layers_to_transform": []int{1}},
			[]fault.Code{fault.ADTargetModules, fault.ADTargetModules, fault.ADTargetModules, fault.ADTargetModules}, nil},
		{"another layer's list", map[string]any{"layers_to_transform": []int{0}, "layers_pattern": "h"},
			[]fault.Code{fault.ADTargetModules, fault.ADTargetModules, fault.ADTargetModules, fault.ADTargetModules}, nil},
		{"excluded", map[string]any{"exclude_modules": `.*v_proj`}, []fault.Code{fault.ADTargetModules, fault.ADTargetModules}, nil},
		{"saved whole", map[string]any{"modules_to_save": []string{"v_proj"}}, []fault.Code{fault.ADTargetModules, fault.ADTargetModules}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := Open(adapterFolder(t, with(plainConfig(), c.config), plainTensors()))
			if err == nil {
				a.Close()
			}
			expect(t, err, c.codes...)
			if err != nil {
				mention(t, err.Error(), c.says...)
			}
		})
	}
}

func TestOpenNotes(t *testing.T) {
	for _, c := range []struct {
		name   string
		config map[string]any
		extra  string // another file in the directory
		code   fault.Code
	}{
		{"no target_modules", map[string]any{"target_modules": nil}, "", fault.ADTargetModules},
		{"idle pattern", map[string]any{"rank_pattern": map[string]any{"k_proj": 2}}, "", fault.ADPattern},
		{"base's name", map[string]any{"base_model_name_or_path": "/home/x/model"}, "", fault.ADBase},
		{"saved modules that are not there", map[string]any{"modules_to_save": []string{"score"}}, "", fault.ADTargetModules},
		{"unknown field", map[string]any{"from_the_future": 3}, "", fault.ADUnknownField},
		{"scale that vanishes", map[string]any{"lora_alpha": 1e-60}, "", fault.ADAlpha},
		{"pickle beside", nil, "adapter_model.bin", fault.ADPickle},
		{"optimizer state beside", nil, "optimizer.pt", fault.ADPickle},
		{"code beside", nil, "modeling.py", fault.ADCode},
		{"model beside", nil, "model.safetensors", fault.ADNoWeights},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := adapterFolder(t, with(plainConfig(), c.config), plainTensors())
			if c.extra != "" {
				if err := os.WriteFile(filepath.Join(dir, c.extra), []byte("x"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			a := opened(t, dir)
			if len(a.Notes) != 1 || a.Notes[0].Code != c.code {
				t.Errorf("notes %v, want %s", a.Notes, c.code)
			}
		})
	}
}

func TestPatternsAreBounded(t *testing.T) {
	cheap, err := suffixPattern("q_proj")
	if err != nil {
		t.Fatal(err)
	}
	costly, err := suffixPattern("(a|b.*){500}")
	if err != nil {
		t.Fatal(err)
	}
	groups := make([]group, 20_000)
	for i := range groups {
		groups[i].module = "model.layers.0.self_attn.q_proj"
	}
	for name, c := range map[string]struct {
		pattern Pattern
		count   int
		refused bool
	}{
		"few plain": {cheap, 100, false}, "many plain": {cheap, 10_000, true}, "costly": {costly, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := &Adapter{Dir: "d", groups: groups}
			for range c.count {
				a.Config.RankPattern = append(a.Config.RankPattern, RankPattern{Pattern: c.pattern, Rank: 1})
			}
			a.boundPatterns()
			if c.refused {
				expect(t, a.problems.Err(), fault.ADPattern)
			} else {
				expect(t, a.problems.Err())
			}
			if refused := len(a.Config.RankPattern) == 0; refused != c.refused {
				t.Errorf("%d patterns are left", len(a.Config.RankPattern))
			}
		})
	}
}
