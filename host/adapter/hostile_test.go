package adapter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// TestHostileConfigs are adapters whose parts are each legal and whose product would keep a reader busy for minutes or fill its memory, and
// some that would have it merge what PEFT does not. What makes them hostile is refused, in one fault and not in thousands.
func TestHostileConfigs(t *testing.T) {
	const each = "a{999}b{999}c{999}d{999}e{999}f{999}g{999}h{999}" // about 8000 instructions
	modules := func(n int, parent string) map[string]any {          // n modules with factors, besides the plain ones
		more := map[string]any{}
		for i := range n {
			module := fmt.Sprintf("%s.%d.q_proj", parent, i)
			more[module+".lora_A.weight"], more[module+".lora_B.weight"] = f32(4, 1), f32(1, 4)
		}
		return more
	}
	names := func(n int, format string) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(format, i)
		}
		return all
	}
	numbers := func(n int, format string, value any) map[string]any {
		all := map[string]any{}
		for _, name := range names(n, format) {
			all[name] = value
		}
		return all
	}
	deep := func(n int) map[string]any {
		list := make([]any, n)
		for i := range list {
			list[i] = map[string]any{"auto_map": i % 2}
		}
		return map[string]any{strings.Repeat("x", 400_000): list}
	}
	long := strings.Repeat("0.", 500_000) + "q_proj"
	accented := "model.layers.é.q_proj"
	for _, c := range []struct {
		name    string
		config  map[string]any
		tensors map[string]any
		code    fault.Code
		says    string
		most    int // faults
	}{
		{"infinite scale behind one that vanishes", map[string]any{"alpha_pattern": map[string]any{"q_proj": 1e-300, "v_proj": 1e300}}, nil,
			fault.ADAlpha, "#/alpha_pattern/v_proj", 1},
		{"long name", nil, map[string]any{long + ".lora_A.weight": f32(4, 16), long + ".lora_B.weight": f32(16, 4)}, fault.ADKey, "bytes", 2},
		{"many saved modules", map[string]any{"modules_to_save": names(100_000, "m%d")}, modules(4000, "layers"),
			fault.ADPattern, "too many", 1},
		{"many parameters", map[string]any{"target_parameters": names(100_000, "p%d")}, modules(4000, "layers"), fault.ADPattern, "too many", 1},
		{"many lists of tokens", map[string]any{"trainable_token_indices": numbers(50_000, "m%d", []int{1})}, modules(4000, "layers"),
			fault.ADPattern, "too many", 1},
		{"patterns of dots", map[string]any{"alpha_pattern": numbers(2000, "%04d"+strings.Repeat(".", 400), 1)},
			modules(4000, strings.Repeat("x", 440)),
			fault.ADPattern, "too many", 1},
		{"many large programs", map[string]any{"alpha_pattern": numbers(10_000, each+"|%d", 1)}, nil, fault.ADPattern, "more than", 101},
		{"many wrong elements", map[string]any{"target_modules": make([]int, 200_000)}, nil, fault.ADConfig, "string", 101},
		{"code in many places", map[string]any{"custom": deep(20_000)}, nil, fault.ADCode, "auto_map", 101},
		{"class of Python's that is not RE2's", map[string]any{"alpha_pattern": map[string]any{`\w_proj`: 1}},
			map[string]any{accented + ".lora_A.weight": f32(4, 16), accented + ".lora_B.weight": f32(16, 4)}, fault.ADPattern, "ASCII", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(adapterFolder(t, with(plainConfig(), c.config), with(plainTensors(), c.tensors)))
			all := fault.All(err)
			if len(all) == 0 || len(all) > c.most {
				t.Fatalf("%d faults, want 1 to %d", len(all), c.most)
			}
			for _, e := range all {
				if e.Code == c.code && e.Remedy != "" && strings.Contains(e.Error(), c.says) {
					return
				}
			}
			t.Errorf("no %s that says %q, but %.300s", c.code, c.says, all[0].Error())
		})
	}
}

// TestExpressionOnALargeBase holds an expression that is bounded on the modules of the file against a base of many more.
func TestExpressionOnALargeBase(t *testing.T) {
	tensors := map[string]stored{"model.layers.0.self_attn.q_proj.weight": f32(16, 16)}
	for i := range 20_000 {
		tensors[fmt.Sprintf("model.layers.%d.%s.weight", i, strings.Repeat("a", 100))] = f32(1, 1)
	}
	b, err := base.Open(folder(t, map[string][]byte{
		"config.json": []byte(`{"model_type":"x"}`), "model.safetensors": weightsFile(t, tensors)}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	config := with(plainConfig(), map[string]any{"target_modules": `.*\.q_proj|` + strings.Repeat("(?:.?){999}", 3)})
	binding, err := Load(adapterFolder(t, config,
		map[string]stored{qProj + ".lora_A.weight": f32(4, 16), qProj + ".lora_B.weight": f32(16, 4)}), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { binding.Adapter.Close() })
	if len(binding.Notes) != 1 || binding.Notes[0].Code != fault.ADPattern {
		t.Errorf("notes %v", binding.Notes)
	}
}
