package adapter

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestConfigRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		field string
		json  string // "" removes the field
		code  fault.Code
	}{
		{"r zero", "r", "0", fault.ADRank},
		{"r negative", "r", "-5", fault.ADRank},
		{"r huge", "r", "2147483648", fault.ADRank},
		{"r fraction", "r", "1.5", fault.ADRank},
		{"r string", "r", `"16"`, fault.ADRank},
		{"r null", "r", "null", fault.ADRank},
		{"r missing", "r", "", fault.ADRank},
		{"r exponent", "r", "1e1", fault.ADRank},
		{"r array", "r", "[4]", fault.ADRank},
		{"alpha missing", "lora_alpha", "", fault.ADAlpha},
		{"alpha null", "lora_alpha", "null", fault.ADAlpha},
		{"alpha infinite", "lora_alpha", "1e400", fault.ADAlpha},
		{"alpha string", "lora_alpha", `"8"`, fault.ADAlpha},
		{"alpha NaN", "lora_alpha", "NaN", fault.ADConfig},
		{"peft_type missing", "peft_type", "", fault.ADPeftType},
		{"peft_type IA3", "peft_type", `"IA3"`, fault.ADPeftType},
		{"peft_type number", "peft_type", "1", fault.ADPeftType},
		{"bias unknown", "bias", `"some"`, fault.ADConfig},
		{"bias null", "bias", "null", fault.ADConfig},
		{"use_rslora string", "use_rslora", `"true"`, fault.ADConfig},
		{"use_dora string", "use_dora", `"true"`, fault.ADConfig},
		{"lora_bias number", "lora_bias", "1", fault.ADConfig},
		{"target_parameters string", "target_parameters", `"experts.gate_up_proj"`, fault.ADConfig},
		{"trainable_token_indices string", "trainable_token_indices", `"1"`, fault.ADConfig},
		{"trainable_token_indices negative", "trainable_token_indices", "[1,-1]", fault.ADConfig},
		{"trainable_token_indices fraction", "trainable_token_indices", `{"wte":[1.5]}`, fault.ADConfig},
		{"trainable_token_indices twice", "trainable_token_indices", "[1,2,1]", fault.ADConfig},
		{"trainable_token_indices of no list", "trainable_token_indices", `{"wte":1}`, fault.ADConfig},
		{"ensure_weight_tying", "ensure_weight_tying", "1", fault.ADConfig},
		{"layer_replication", "layer_replication", "[[0,4],[2,5]]", fault.ADUnsupported},
		{"megatron_config", "megatron_config", "{}", fault.ADUnsupported},
		{"use_qalora", "use_qalora", "true", fault.ADUnsupported},
		{"arrow_config", "arrow_config", `{"top_k":3}`, fault.ADUnsupported},
		{"alora_invocation_tokens", "alora_invocation_tokens", "[1,2]", fault.ADUnsupported},
		{"kasa_config", "kasa_config", `{"x":1}`, fault.ADUnsupported},
		{"use_bdlora", "use_bdlora", `{"nblocks":2}`, fault.ADUnsupported},
		{"pissa_niter_16", "init_lora_weights", `"pissa_niter_16"`, fault.ADUnsupported},
		{"loftq", "init_lora_weights", `"loftq"`, fault.ADUnsupported},
		{"corda", "init_lora_weights", `"corda"`, fault.ADUnsupported},
		{"lora_ga", "init_lora_weights", `"lora_ga"`, fault.ADUnsupported},
		{"unknown init", "init_lora_weights", `"new"`, fault.ADUnsupported},
		{"init number", "init_lora_weights", "1", fault.ADConfig},
		{"auto_map", "auto_map", `{"AutoModel":"x.py"}`, fault.ADCode},
		{"_target_", "_target_", `"os.system"`, fault.ADCode},
		{"trust_remote_code", "trust_remote_code", "true", fault.ADCode},
		{"_target_ inside", "eva_config", `{"a":[1,{"_target_":"os.system"}]}`, fault.ADCode},
		{"auto_map inside auto_mapping", "auto_mapping", `{"auto_map":{"AutoModel":"x.M"}}`, fault.ADCode},
		{"auto_mapping with another text", "auto_mapping", `{"loader":"x"}`, fault.ADCode},
		{"megatron_core", "megatron_core", `"evil"`, fault.ADCode},
		{"auto_mapping elsewhere", "auto_mapping", `{"base_model_class":"M","parent_library":"evil.model"}`, fault.ADCode},
		{"auto_mapping of downloaded code", "auto_mapping", `{"parent_library":"transformers_modules.x"}`, fault.ADCode},
		{"auto_mapping class", "auto_mapping", `{"base_model_class":"a; b"}`, fault.ADCode},
		{"rank_pattern array", "rank_pattern", "[]", fault.ADConfig},
		{"rank_pattern value", "rank_pattern", `{"q":0}`, fault.ADRank},
		{"rank_pattern regex", "rank_pattern", `{"(?=q)q":2}`, fault.ADPattern},
		{"alpha_pattern value", "alpha_pattern", `{"q":"1"}`, fault.ADAlpha},
		{"alpha_pattern regex", "alpha_pattern", `{"(a)\\1":1}`, fault.ADPattern},
		{"target_modules number", "target_modules", "1", fault.ADConfig},
		{"target_modules of numbers", "target_modules", "[1]", fault.ADConfig},
		{"target_modules regex", "target_modules", `"(?<!k)q"`, fault.ADPattern},
		{"layers_to_transform", "layers_to_transform", "[-1]", fault.ADConfig},
		{"modules_to_save", "modules_to_save", `"score"`, fault.ADConfig},
		{"base_model_name_or_path", "base_model_name_or_path", "[]", fault.ADConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			fields := map[string]string{"peft_type": `"LORA"`, "r": "4", "lora_alpha": "8", c.field: c.json}
			_, problems, _ := ParseConfig("c.json", configText(fields))
			expect(t, problems.Err(), c.code)
			if e := problems[0]; c.json != "" && c.json != "NaN" && !strings.HasPrefix(e.Pointer, "/"+c.field) {
				t.Errorf("the place is %q", e.Pointer)
			}
		})
	}
}

func configText(fields map[string]string) []byte {
	var members []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name] != "" {
			members = append(members, `"`+name+`":`+fields[name])
		}
	}
	return []byte("{" + strings.Join(members, ",") + "}")
}

func TestConfigText(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		pointer string
		offset  int64
	}{
		"empty":             {"", "", 0},
		"space":             {" \n", "", 0},
		"array":             {"[]", "", 0},
		"cut":               {`{"r":`, "/r", 5},
		"trailing":          {`{} {}`, "", 3},
		"duplicate":         {`{"r":1,"r":2}`, "/r", 7},
		"escaped duplicate": {`{"r":1,"\u0072":2}`, "/r", 7},
		"inner duplicate":   {`{"rank_pattern":{"a":1,"a":2}}`, "/rank_pattern/a", 23},
		"bad UTF-8":         {"{\"a\":\"\xff\"}", "/a", 6},
		"byte order mark":   {"\ufeff{}", "", 0},
		"deep":              {`{"a":` + strings.Repeat("[", 20_000), "", -2},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems, _ := ParseConfig("c.json", []byte(c.text))
			expect(t, problems.Err(), fault.ADConfig)
			if e := problems[0]; c.offset != -2 && (e.Pointer != c.pointer || e.Offset != c.offset) {
				t.Errorf("the place is %q byte %d, want %q byte %d", e.Pointer, e.Offset, c.pointer, c.offset)
			}
		})
	}
}

func TestConfigNotes(t *testing.T) {
	for name, c := range map[string]struct {
		field, json string
		code        fault.Code // "" for none
	}{
		"unknown":           {"new_field", `"x"`, fault.ADUnknownField},
		"unknown and null":  {"new_field", "null", ""},
		"unknown and empty": {"new_field", "{}", ""},
		"unknown and false": {"new_field", "false", ""},
		"alpha zero":        {"lora_alpha", "0", fault.ADAlpha},
		"alpha negative":    {"lora_alpha", "-1.5", fault.ADAlpha},
		"transformers library": {"auto_mapping", `{"base_model_class":"A","parent_library":"transformers.models.llama"}`,
			fault.ADUnknownField},
		"unsloth's mark":              {"auto_mapping", `{"base_model_class":"A","unsloth_fixed":true}`, fault.ADUnknownField},
		"a code field's name as text": {"task_type", `"auto_map"`, ""},
		"trust_remote_code off":       {"trust_remote_code", "false", ""},
		"eva":                         {"init_lora_weights", `"eva"`, ""},
		"loftq_config":                {"loftq_config", `{"loftq_bits":4}`, ""},
		"megatron_core":               {"megatron_core", `"megatron.core"`, ""},
		"qalora_group_size":           {"qalora_group_size", "16", ""},
		"use_dora null":               {"use_dora", "null", ""},
		"pissa":                       {"init_lora_weights", `"pissa"`, ""},
		"OLoRA":                       {"init_lora_weights", `"OLoRA"`, ""},
		"bias lora_only":              {"bias", `"lora_only"`, ""},
		"tokens empty":                {"trainable_token_indices", "[]", ""},
		"tokens of modules":           {"trainable_token_indices", `{"wte":[3,1],"lm_head":[]}`, ""},
		"layers empty":                {"layers_to_transform", "[]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems, notes := ParseConfig("c.json", configText(map[string]string{
				"peft_type": `"LORA"`, "r": "4", "lora_alpha": "8", c.field: c.json,
			}))
			expect(t, problems.Err())
			if c.code == "" && len(notes) > 0 || c.code != "" && !slices.Equal(codes(notes), []fault.Code{c.code}) {
				t.Errorf("notes %v, want %q", notes, c.code)
			}
		})
	}
}

func TestConfigAllProblemsAtOnce(t *testing.T) {
	_, problems, _ := ParseConfig("c.json", []byte(`{"peft_type":"LOHA","r":0,"lora_alpha":null,"use_qalora":true,"bias":"some"}`))
	expect(t, problems.Err(), fault.ADPeftType, fault.ADRank, fault.ADAlpha, fault.ADUnsupported, fault.ADConfig)
}

func TestPatternsApplyInFileOrder(t *testing.T) {
	config, problems, _ := ParseConfig("c.json", []byte(`{"peft_type":"LORA","r":8,"lora_alpha":16,"use_rslora":true,
		"rank_pattern":{"q_proj":4,"layers.0.q_proj":2,"layers\\.1\\..*":32},"alpha_pattern":{"v_proj":0.5,".*":3}}`))
	expect(t, problems.Err())
	for module, want := range map[string]struct {
		rank  int
		alpha float64
	}{
		"m.layers.0.q_proj": {4, 3}, // the first that matches, not the most specific
		"m.layers.1.q_proj": {4, 3},
		"m.layers.1.k_proj": {32, 3},
		"m.layers.2.k_proj": {8, 3},
		"m.layers.2.v_proj": {8, 0.5},
	} {
		if rank, alpha := config.RankOf(module), config.AlphaOf(module); rank != want.rank || alpha != want.alpha {
			t.Errorf("%s: rank %d alpha %g, want %d and %g", module, rank, alpha, want.rank, want.alpha)
		}
	}
}

// FuzzConfig checks that any text gives either a usable configuration or a list of placed refusals, the same one each time.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		`{"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":["q_proj"],"rank_pattern":{"q":4}}`,
		`{"peft_type":"LORA","r":8,"lora_alpha":1e400,"target_modules":".*","layers_to_transform":1}`,
		`{"auto_mapping":{"parent_library":"x"},"use_dora":true}`, `{"r":1,"r":2}`, `[]`, ``, `{"a":"\ud800"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		config, problems, notes := ParseConfig("c.json", text)
		_, again, againNotes := ParseConfig("c.json", text)
		if problems.Error() != again.Error() || notes.Error() != againNotes.Error() {
			t.Fatal("two readings differ")
		}
		for _, e := range append(problems, notes...) {
			if e.File != "c.json" || e.Offset > int64(len(text)) {
				t.Fatalf("no place: %v", e)
			}
		}
		if len(problems) == 0 && (config.Rank < 1 || config.Rank > maxRank || config.PEFTType != "LORA") {
			t.Fatalf("accepted: %+v", config)
		}
		config.Selector.Selects("model.layers.0.self_attn.q_proj")
		config.RankOf("model.layers.0.self_attn.q_proj")
	})
}
