package adapter

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// poke writes bytes into one tensor of a file.
func poke(t *testing.T, path, name string, at int64, content ...byte) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stored, ok := f.Tensor(name)
	if !ok || at+int64(len(content)) > stored.Length {
		t.Fatalf("%s has no byte %d of %s", path, at, name)
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteAt(content, stored.Offset+at); err != nil {
		t.Fatal(err)
	}
}

// oneLinear is an adapter of one linear module, and what a base needs for it.
func oneLinear() (tensors, weights map[string]stored) {
	return map[string]stored{"a.q.lora_A.weight": f32(4, 16), "a.q.lora_B.weight": f32(8, 4)}, map[string]stored{"a.q.weight": f32(8, 16)}
}

func TestBindSavedModules(t *testing.T) {
	tensors, weights := oneLinear()
	config := with(formsConfig("q"), map[string]any{"modules_to_save": []string{"score", "norm"}})
	replaced := func(names ...string) map[string]report.Disposition {
		all := make(map[string]report.Disposition)
		for _, name := range names {
			all[name] = report.Replaced
		}
		return all
	}
	bindForms(t, []formsCase{
		{name: "replaced", config: config, tensors: with(tensors, map[string]any{"a.norm.weight": f32(16)}), base: with(weights, map[string]any{"a.norm.weight": f32(16)}),
			targets: []string{"a.norm.weight", "a.q.weight"}, where: replaced("a.norm.weight"), check: func(t *testing.T, b *Binding) {
				if x := b.Targets[0]; x.New() || x.Start.Shape == nil || x.Out != 16 || x.In != 1 || x.LowRank() {
					t.Errorf("%+v", x)
				}
			}},
		{name: "in the legacy spelling", config: config, base: with(weights, map[string]any{"a.norm.weight": f32(16)}),
			tensors: with(tensors, map[string]any{"a.norm.modules_to_save.default.weight": f32(16), "a.norm.original_module.weight": f32(16)}),
			targets: []string{"a.norm.weight", "a.q.weight"}, where: map[string]report.Disposition{
				"a.norm.modules_to_save.default.weight": report.Replaced, "a.norm.original_module.weight": report.Ignored}},
		{name: "new", config: config, tensors: with(tensors, map[string]any{"score.dense.weight": f32(3, 16)}), base: weights,
			targets: []string{"a.q.weight", "score.dense.weight"}, where: replaced("score.dense.weight"), says: []string{`no "score.dense.weight": it is new`},
			check: func(t *testing.T, b *Binding) {
				if x := b.Targets[1]; !x.New() || x.Out != 3 || x.In != 16 {
					t.Errorf("%+v", x)
				}
			}},
		{name: "a task's head", config: with(formsConfig("q"), map[string]any{"task_type": "SEQ_CLS"}), base: weights,
			tensors: with(tensors, map[string]any{"score.weight": f32(3, 16)}), targets: []string{"a.q.weight", "score.weight"}, where: replaced("score.weight"), says: []string{"new"}},
		{name: "missing among others", config: config, tensors: with(tensors, map[string]any{"a.norm.weight": f32(16)}), base: weights,
			codes: []fault.Code{fault.ADTarget}, says: []string{`"a.norm.weight"`}},
		{name: "of another shape", config: config, tensors: with(tensors, map[string]any{"a.norm.weight": f32(8)}),
			base: with(weights, map[string]any{"a.norm.weight": f32(16)}), codes: []fault.Code{fault.ADShape}, says: []string{"[8]", "[16]"}},
		{name: "a buffer like the base's", config: config, tensors: with(tensors, map[string]any{"a.norm.count": stored{tensor.I64, []int{}}}),
			base: with(weights, map[string]any{"a.norm.count": stored{tensor.I64, []int{}}}), targets: []string{"a.q.weight"},
			where: map[string]report.Disposition{"a.norm.count": report.Ignored}},
		{name: "doubles", config: config, tensors: with(tensors, map[string]any{"score.weight": stored{tensor.F64, []int{2}}}), base: weights,
			codes: []fault.Code{fault.ADDType}},
		{name: "resized vocabulary", config: with(config, map[string]any{"modules_to_save": []string{"embed_tokens"}}),
			tensors: with(tensors, map[string]any{"a.embed_tokens.weight": f32(33, 16)}), base: with(weights, map[string]any{"a.embed_tokens.weight": f32(32, 16)}),
			codes: []fault.Code{fault.ADShape}, says: []string{"the vocabulary was resized: it has 33 rows"}},
		{name: "only what is saved", config: config, tensors: map[string]stored{"a.norm.weight": f32(16)}, base: with(weights, map[string]any{"a.norm.weight": f32(16)}),
			codes: nil, targets: []string{"a.norm.weight"}, where: replaced("a.norm.weight")},
	})
}

func TestBindBias(t *testing.T) {
	tensors, weights := oneLinear()
	weights = with(weights, map[string]any{"a.q.bias": f32(8), "norm.bias": f32(16)})
	for kind, extra := range map[string]map[string]any{
		"all":       {"a.q.base_layer.bias": f32(8), "norm.bias": f32(16)},
		"lora_only": {"a.q.bias": f32(8)},
	} {
		where, targets := make(map[string]report.Disposition), []string{"a.q.bias", "a.q.weight"}
		for name := range extra {
			where[name] = report.Replaced
		}
		if kind == "all" {
			targets = append(targets, "norm.bias")
		}
		bindForms(t, []formsCase{
			{name: kind, config: with(formsConfig("q"), map[string]any{"bias": kind}), tensors: with(tensors, extra), base: weights, targets: targets, where: where},
			{name: kind + ", not in the base", config: with(formsConfig("q"), map[string]any{"bias": kind}), tensors: with(tensors, extra),
				base: with(weights, map[string]any{"a.q.bias": nil}), codes: []fault.Code{fault.ADTarget}, says: []string{`"a.q.bias"`}},
		})
	}
}

// TestBindMasks ignores what GPT-2's attention keeps as a bias and is none.
func TestBindMasks(t *testing.T) {
	tensors, weights := oneLinear()
	masks := map[string]any{"h.0.attn.bias": stored{tensor.U8, []int{1, 1, 8, 8}}, "h.0.attn.masked_bias": f32()}
	config := with(formsConfig("q"), map[string]any{"bias": "all"})
	bindForms(t, []formsCase{
		{name: "GPT-2", config: config, tensors: with(tensors, masks), base: weights, model: map[string]any{"model_type": "gpt2"}, targets: []string{"a.q.weight"},
			where: map[string]report.Disposition{"h.0.attn.bias": report.Ignored, "h.0.attn.masked_bias": report.Ignored}},
		{name: "another model", config: config, tensors: with(tensors, masks), base: weights, codes: []fault.Code{fault.ADTarget, fault.ADTarget},
			says: []string{"h.0.attn.bias"}},
		{name: "another shape", config: config, tensors: with(tensors, map[string]any{"h.0.attn.bias": f32(8)}), base: weights,
			model: map[string]any{"model_type": "gpt2"}, codes: []fault.Code{fault.ADTarget}},
	})
}

// TestSavedEmbeddings saves a copy of the base's embedding beside its factors: the base's own is ignored, in another type too, and another is
// what the factors are added to.
func TestSavedEmbeddings(t *testing.T) {
	const name = "m.wpe.base_layer.weight"
	config := configFile(t, formsConfig("wpe"))
	for _, c := range []struct {
		name   string
		dtype  tensor.DType // of the copy; the base's is BF16
		value  []byte       // entry 3; the base has 1.5
		rule   string
		notes  int
		refuse fault.Code
	}{
		{"the same", tensor.BF16, []byte{0xc0, 0x3f}, ruleSameAsBase, 0, ""},
		{"the same values", tensor.F32, []byte{0, 0, 0xc0, 0x3f}, ruleSameAsBase, 0, ""},
		{"another base", tensor.BF16, []byte{0xc1, 0x3f}, "", 1, ""},
		{"another base, wider", tensor.F32, []byte{1, 0, 0xc0, 0x3f}, "", 1, ""},
		{"infinite", tensor.BF16, []byte{0x80, 0x7f}, "", 0, fault.ADNonFinite},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, map[string][]byte{configName: config, weightsName: weightsFile(t, map[string]stored{
				"m.wpe.lora_embedding_A": f32(4, 32), "m.wpe.lora_embedding_B": f32(16, 4), name: {c.dtype, []int{32, 16}}})})
			poke(t, filepath.Join(dir, weightsName), name, int64(3*c.dtype.Size()), c.value...)
			baseDir := folder(t, map[string][]byte{"config.json": []byte(`{}`),
				"model.safetensors": weightsFile(t, map[string]stored{"m.wpe.weight": {tensor.BF16, []int{32, 16}}})})
			poke(t, filepath.Join(baseDir, "model.safetensors"), "m.wpe.weight", 6, 0xc0, 0x3f)
			b, err := base.Open(baseDir)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			binding, err := Load(dir, b)
			if c.refuse != "" {
				expect(t, err, c.refuse)
				mention(t, err.Error(), name, "1 value of 512", "index 3")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer binding.Close()
			row := binding.Coverage.Tensors[0]
			if row.Name != name || row.Rule != c.rule || (row.Disposition == report.Ignored) != (c.rule != "") || row.Target != "m.wpe.weight" {
				t.Errorf("row %+v", row)
			}
			if len(binding.Notes) != c.notes || c.notes > 0 && binding.Notes[0].Code != fault.ADBase {
				t.Errorf("notes %v", binding.Notes)
			}
			if x := binding.Targets[0]; len(binding.Targets) != 1 || !x.LowRank() || (x.Start.Shape != nil) != (c.rule == "") {
				t.Errorf("%+v", x)
			}
		})
	}
}

// TestFactorsOnAReplacedStart puts a NaN into a factor whose weight is replaced first: no diagnostic looks at it.
func TestFactorsOnAReplacedStart(t *testing.T) {
	const factor = "m.wpe.lora_embedding_B"
	dir := adapterFolder(t, formsConfig("wpe"), map[string]stored{
		"m.wpe.lora_embedding_A": f32(4, 32), factor: f32(16, 4), "m.wpe.base_layer.weight": f32(32, 16)})
	poke(t, filepath.Join(dir, weightsName), "m.wpe.base_layer.weight", 0, 1)
	poke(t, filepath.Join(dir, weightsName), factor, 8, 0, 0, 0xc0, 0x7f)
	_, err := Load(dir, openedBase(t, map[string]any{}, map[string]stored{"m.wpe.weight": f32(32, 16)}))
	expect(t, err, fault.ADNonFinite)
	mention(t, err.Error(), factor, "index 2")
}

// TestNonFiniteIsFoundAtBind puts a NaN into each kind of tensor that no diagnostic sees.
func TestNonFiniteIsFoundAtBind(t *testing.T) {
	tensors, weights := oneLinear()
	weights = with(weights, map[string]any{"a.q.bias": f32(8), "m.wte.weight": f32(32, 16)})
	for name, c := range map[string]struct {
		shape  []int
		config map[string]any
	}{
		"a.q.lora_magnitude_vector":                  {[]int{8}, map[string]any{"use_dora": true}},
		"a.q.lora_B.bias":                            {[]int{8}, map[string]any{"lora_bias": true}},
		"a.q.base_layer.bias":                        {[]int{8}, map[string]any{"bias": "all"}},
		"score.weight":                               {[]int{2, 16}, map[string]any{"modules_to_save": []string{"score"}}},
		"m.wte.token_adapter.trainable_tokens_delta": {[]int{2, 16}, map[string]any{"trainable_token_indices": []int{4, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := adapterFolder(t, with(formsConfig("q"), c.config), with(tensors, map[string]any{name: f32(c.shape...)}))
			poke(t, filepath.Join(dir, weightsName), name, 4, 0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0xff)
			_, err := Load(dir, openedBase(t, map[string]any{}, weights))
			expect(t, err, fault.ADNonFinite)
			mention(t, err.Error(), name, "2 values", "index 1")
		})
	}
}

func TestNonFinite(t *testing.T) {
	for _, c := range []struct {
		dtype tensor.DType
		data  []byte
		first int
		count int
	}{
		{tensor.F32, []byte{0, 0, 0x7f, 0x7f, 0, 0, 0x80, 0x7f, 1, 0, 0x80, 0xff}, 1, 2}, // a large number, Inf, a NaN
		{tensor.F16, []byte{0xff, 0x7b, 0, 0x7c, 1, 0xfc}, 1, 2},
		{tensor.BF16, []byte{0x7f, 0x7f, 0x80, 0x7f, 0x81, 0xff, 0, 0x7c}, 1, 2},
		{tensor.F32, nil, 0, 0},
	} {
		if first, count := nonFinite(c.data, c.dtype); first != c.first || count != c.count {
			t.Errorf("%v: the first of %d is %d", c.dtype, count, first)
		}
	}
}
