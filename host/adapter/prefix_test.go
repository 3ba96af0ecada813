package adapter

import (
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// TestRenames binds an adapter of one module, and of a head that is saved, to bases that call them otherwise.
func TestRenames(t *testing.T) {
	for _, c := range []struct {
		adapter, base string // the module
		rule          string
	}{
		{"transformer.h.0.q", "h.0.q", "without transformer"},
		{"h.0.q", "transformer.h.0.q", "with transformer"},
		{"model.layers.0.q", "layers.0.q", "without model"},
		{"layers.0.q", "model.layers.0.q", "with model"},
		{"bert.encoder.layer.0.q", "encoder.layer.0.q", "without bert"},
		{"encoder.layer.0.q", "roberta.encoder.layer.0.q", "with roberta"},
		{"model.layers.0.q", "language_model.model.layers.0.q", "a language model inside a vision-language model of transformers 4"},
		{"language_model.model.layers.0.q", "model.layers.0.q", "a language model out of a vision-language model of transformers 4"},
		{"model.layers.0.q", "model.language_model.layers.0.q", "a language model inside a vision-language model of transformers 5"},
		{"model.language_model.layers.0.q", "model.layers.0.q", "a language model out of a vision-language model of transformers 5"},
		{"language_model.model.layers.0.q", "model.language_model.layers.0.q", "a vision-language model of transformers 4 in names of 5"},
		{"model.language_model.layers.0.q", "language_model.model.layers.0.q", "a vision-language model of transformers 5 in names of 4"},
		{"visual.blocks.0.q", "model.visual.blocks.0.q", "a language model inside a vision-language model of transformers 5"},
		{"model.vision_tower.layers.0.q", "vision_tower.layers.0.q", "a vision-language model of transformers 5 in names of 4"},
		{"_orig_mod.model.layers.0.q", "model.layers.0.q", "without torch.compile's _orig_mod"},
		{"module.model.layers.0.q", "model.layers.0.q", "without DistributedDataParallel's module"},
		{"base_model.model.model.layers.0.q", "model.layers.0.q", "without a second base_model.model"},
	} {
		t.Run(c.adapter+" to "+c.base, func(t *testing.T) {
			const prefix = "base_model.model."
			tensors := map[string]stored{prefix + c.adapter + ".lora_A.weight": f32(4, 16), prefix + c.adapter + ".lora_B.weight": f32(8, 4),
				prefix + "score.weight": f32(2, 16)}
			a := opened(t, adapterFolder(t, with(formsConfig("q"), map[string]any{"modules_to_save": []string{"score"}}), tensors))
			binding, err := a.Bind(openedBase(t, map[string]any{}, map[string]stored{c.base + ".weight": f32(8, 16)}))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, target := range binding.Targets {
				names = append(names, target.Name)
			}
			if want := slices.Sorted(slices.Values([]string{c.base + ".weight", "score.weight"})); !slices.Equal(names, want) {
				t.Errorf("targets %q, want %q", names, want)
			}
			mention(t, binding.Notes.Error(), `"`+c.rule+`"`, c.adapter+" is "+c.base)
			for _, row := range binding.Coverage.Tensors {
				if strings.Contains(row.Name, ".q.") && (row.Target != c.base+".weight" || row.Disposition != report.Applied) {
					t.Errorf("row %+v", row)
				}
			}
		})
	}
}

// TestRenamesThatDoNotApply are differences that no single rule explains: they are refused, and what is probably meant is said.
func TestRenamesThatDoNotApply(t *testing.T) {
	tensors := func(modules ...string) map[string]stored {
		all := make(map[string]stored)
		for _, module := range modules {
			all["base_model.model."+module+".lora_A.weight"], all["base_model.model."+module+".lora_B.weight"] = f32(4, 16), f32(8, 4)
		}
		return all
	}
	weights := func(modules ...string) map[string]stored {
		all := make(map[string]stored)
		for _, module := range modules {
			all[module+".weight"] = f32(8, 16)
		}
		return all
	}
	bindForms(t, []formsCase{
		{name: "some are there as they are", config: formsConfig("q"), tensors: tensors("transformer.h.0.q", "transformer.h.1.q"),
			base: weights("transformer.h.0.q", "h.1.q"), codes: []fault.Code{fault.ADTarget}, says: []string{"transformer.h.1.q"}},
		{name: "one is nowhere", config: formsConfig("q"), tensors: tensors("transformer.h.0.q", "transformer.h.1.q"), base: weights("h.0.q"),
			codes: []fault.Code{fault.ADTarget, fault.ADTarget}},
		{name: "two rules, two places", config: formsConfig("q"), tensors: tensors("model.layers.0.q"),
			base: weights("language_model.model.layers.0.q", "model.language_model.layers.0.q"), codes: []fault.Code{fault.ADTarget}},
		{name: "an unknown prefix", config: formsConfig("q"), tensors: tensors("student.model.layers.0.q"), base: weights("model.layers.0.q"),
			codes: []fault.Code{fault.ADTarget}, says: []string{`"" in place of "student."`}},
		{name: "only the end is alike", config: formsConfig("q"), tensors: tensors("model.layers.0.q"), base: weights("decoder.layers.0.q"),
			codes: []fault.Code{fault.ADTarget}},
	})
}

// TestRenamedParameters replaces parameters below a head of a checkpoint that lacks the model's prefix, and of one that has it.
func TestRenamedParameters(t *testing.T) {
	factors := func(module string) map[string]stored {
		return map[string]stored{module + ".lora_A.weight": f32(4, 16), module + ".lora_B.weight": f32(8, 4)}
	}
	config := with(formsConfig("q"), map[string]any{"modules_to_save": []string{"ln_f", "qa_outputs"}})
	bindForms(t, []formsCase{
		{name: "without", config: config, tensors: with(factors("transformer.h.0.q"), map[string]any{"transformer.ln_f.weight": f32(16), "qa_outputs.weight": f32(2, 16)}),
			base: map[string]stored{"h.0.q.weight": f32(8, 16), "ln_f.weight": f32(16)}, targets: []string{"h.0.q.weight", "ln_f.weight", "qa_outputs.weight"},
			where: map[string]report.Disposition{"transformer.ln_f.weight": report.Replaced, "qa_outputs.weight": report.Replaced}},
		{name: "with", config: config, tensors: with(factors("h.0.q"), map[string]any{"ln_f.weight": f32(16), "qa_outputs.weight": f32(2, 16)}),
			base:    map[string]stored{"transformer.h.0.q.weight": f32(8, 16), "transformer.ln_f.weight": f32(16)},
			targets: []string{"qa_outputs.weight", "transformer.h.0.q.weight", "transformer.ln_f.weight"},
			where:   map[string]report.Disposition{"ln_f.weight": report.Replaced, "qa_outputs.weight": report.Replaced}},
		{name: "without, and missing", config: config, tensors: with(factors("transformer.h.0.q"), map[string]any{"transformer.ln_f.weight": f32(16)}),
			base: map[string]stored{"h.0.q.weight": f32(8, 16), "ln_f.bias": f32(16)}, codes: []fault.Code{fault.ADTarget}},
	})
}
