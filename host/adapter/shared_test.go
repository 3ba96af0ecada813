package adapter

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestRealAdaptersAreRefused(t *testing.T) {
	b, err := base.Open(shared(t, "models/tiny-llama/base"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range []struct {
		name                     string
		tensors, missing, others int
	}{
		{"distilbert-imdb", 28, 12, 0},
		{"distilbert-emotion", 28, 12, 0},
		{"gpt2-r8", 25, 12, 1},       // fan_in_fan_out against a Llama
		{"gpt2-tigrinya", 72, 36, 1}, // fan_in_fan_out against a Llama
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := shared(t, "models/real/"+c.name)
			inspection, err := Inspect(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(inspection.Tensors) != c.tensors || !slices.Equal(inspection.Ranks, []int{8}) || len(inspection.Pairs) != c.missing {
				t.Errorf("%d tensors, ranks %v, %d pairs", len(inspection.Tensors), inspection.Ranks, len(inspection.Pairs))
			}
			binding, err := Load(dir, b)
			missing := 0
			for _, code := range codes(err) {
				if code == fault.ADTarget {
					missing++
				}
			}
			if missing != c.missing || len(codes(err)) != c.missing+c.others || fault.ClassOf(err) != fault.Rejected {
				t.Errorf("%d missing of %d faults: %v", missing, len(codes(err)), err)
			}
			if binding.Coverage.Rejected+binding.Coverage.Replaced != c.tensors || binding.Coverage.Rejected < 2*c.missing {
				t.Errorf("coverage %+v", binding.Coverage)
			}
		})
	}
	t.Run("lfs-pointer", func(t *testing.T) {
		binding, err := Load(shared(t, "models/real/lfs-pointer"), b)
		expect(t, err, fault.STLFSPointer)
		mention(t, err.Error(), "Git LFS pointer", "git lfs pull")
		if binding != nil {
			t.Error("there is a binding")
		}
	})
	t.Run("roberta-mnli", func(t *testing.T) {
		_, err := Inspect(shared(t, "models/real/roberta-mnli"))
		expect(t, err, fault.ADPickle, fault.ADConfig)
		_, err = Inspect(shared(t, "models/real/roberta-mnli/roberta_base_lora_mnli.bin"))
		expect(t, err, fault.ADPickle)
	})
}

func TestTrainedAdaptersBind(t *testing.T) {
	b, err := base.Open(shared(t, "models/tiny-llama/base"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	dirs, err := filepath.Glob(filepath.Join(shared(t, "models/tiny-llama/adapters"), "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			a := opened(t, dir)
			binding, err := a.Bind(b)
			if err != nil {
				t.Fatal(err)
			}
			want := 12
			if strings.Contains(dir, "-all-") {
				want = 42
			}
			if len(binding.Targets) != want || binding.Coverage.Applied != 2*want || len(binding.Coverage.Tensors) != 2*want {
				t.Errorf("%d targets, %d applied", len(binding.Targets), binding.Coverage.Applied)
			}
			if scales := a.Scales(); len(scales) != 1 || scales[0] != 2 {
				t.Errorf("scales %v", scales)
			}
		})
	}
}

// sparseBase is a base of zeros that takes no room on the disk.
func sparseBase(t *testing.T, config string, dtype tensor.DType, shapes map[string][]int) *base.Base {
	t.Helper()
	var entries []safetensors.Entry
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		entries = append(entries, safetensors.Entry{Name: name, DType: dtype, Shape: shapes[name]})
	}
	header, _, size, err := safetensors.Layout(entries, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string][]byte{"config.json": []byte(config), "model.safetensors": header})
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), size); err != nil {
		t.Fatal(err)
	}
	b, err := base.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// gpt2Small has the names and shapes of Hugging Face's gpt2: the model without its head, and so without the prefix.
func gpt2Small(t *testing.T) *base.Base {
	const width = 768
	shapes := map[string][]int{"wte.weight": {50257, width}, "wpe.weight": {1024, width}, "ln_f.weight": {width}, "ln_f.bias": {width}}
	for layer := range 12 {
		for name, shape := range map[string][]int{
			"ln_1.weight": {width}, "ln_1.bias": {width}, "ln_2.weight": {width}, "ln_2.bias": {width},
			"attn.bias": {1, 1, 1024, 1024}, "attn.c_attn.weight": {width, 3 * width}, "attn.c_attn.bias": {3 * width}, "attn.c_proj.weight": {width, width},
			"attn.c_proj.bias": {width}, "mlp.c_fc.weight": {width, 4 * width}, "mlp.c_fc.bias": {4 * width}, "mlp.c_proj.weight": {4 * width, width},
			"mlp.c_proj.bias": {width},
		} {
			shapes[fmt.Sprintf("h.%d.%s", layer, name)] = shape
		}
	}
	return sparseBase(t, `{"model_type":"gpt2","architectures":["GPT2LMHeadModel"],"n_embd":768,"n_layer":12,"n_head":12}`, tensor.F16, shapes)
}

// distilBERT has the names and shapes of distilbert-base-uncased, with the head it was trained with.
func distilBERT(t *testing.T) *base.Base {
	const width, vocabulary = 768, 30522
	shapes := map[string][]int{
		"distilbert.embeddings.word_embeddings.weight": {vocabulary, width}, "distilbert.embeddings.position_embeddings.weight": {512, width},
		"distilbert.embeddings.LayerNorm.weight": {width}, "distilbert.embeddings.LayerNorm.bias": {width}, "vocab_transform.weight": {width, width},
		"vocab_transform.bias": {width}, "vocab_layer_norm.weight": {width}, "vocab_layer_norm.bias": {width}, "vocab_projector.bias": {vocabulary},
	}
	for layer := range 6 {
		at := fmt.Sprintf("distilbert.transformer.layer.%d.", layer)
		for _, name := range []string{"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"} {
			shapes[at+name+".weight"], shapes[at+name+".bias"] = []int{width, width}, []int{width}
		}
		for _, name := range []string{"sa_layer_norm", "output_layer_norm"} {
			shapes[at+name+".weight"], shapes[at+name+".bias"] = []int{width}, []int{width}
		}
		shapes[at+"ffn.lin1.weight"], shapes[at+"ffn.lin1.bias"] = []int{4 * width, width}, []int{4 * width}
		shapes[at+"ffn.lin2.weight"], shapes[at+"ffn.lin2.bias"] = []int{width, 4 * width}, []int{width}
	}
	return sparseBase(t, `{"model_type":"distilbert","architectures":["DistilBertForMaskedLM"]}`, tensor.F16, shapes)
}

// TestRealAdaptersBind binds adapters that people published to bases of the right names and shapes. Every tensor has its place, and the heads,
// which no such base has, are new.
func TestRealAdaptersBind(t *testing.T) {
	for _, c := range []struct {
		name    string
		base    func(*testing.T) *base.Base
		applied int
		heads   []string
		target  string // of the first tensor that is applied
	}{
		{"gpt2-r8", gpt2Small, 24, []string{"score.weight"}, "h.0.attn.c_attn.weight"},
		{"gpt2-tigrinya", gpt2Small, 72, nil, "h.0.attn.c_attn.weight"},
		{"distilbert-imdb", distilBERT, 24, []string{"classifier.bias", "classifier.weight", "pre_classifier.bias", "pre_classifier.weight"},
			"distilbert.transformer.layer.0.attention.q_lin.weight"},
		{"distilbert-emotion", distilBERT, 24, []string{"classifier.bias", "classifier.weight", "pre_classifier.bias", "pre_classifier.weight"},
			"distilbert.transformer.layer.0.attention.q_lin.weight"},
	} {
		t.Run(c.name, func(t *testing.T) {
			binding, err := Load(shared(t, "models/real/"+c.name), c.base(t))
			if err != nil {
				t.Fatal(err)
			}
			defer binding.Close()
			coverage := binding.Coverage
			if coverage.Applied != c.applied || coverage.Replaced != len(c.heads) || coverage.Rejected+coverage.Ignored != 0 {
				t.Errorf("%d applied, %d replaced, %d ignored, %d rejected", coverage.Applied, coverage.Replaced, coverage.Ignored, coverage.Rejected)
			}
			var heads []string
			for _, target := range binding.Targets {
				if target.New() {
					heads = append(heads, target.Name)
				} else if want := strings.HasPrefix(c.name, "gpt2"); target.FanInFanOut != want || !target.Plain() {
					t.Errorf("%+v", target)
				}
			}
			if !slices.Equal(heads, c.heads) {
				t.Errorf("new are %q", heads)
			}
			first := slices.IndexFunc(coverage.Tensors, func(row report.Tensor) bool { return row.Disposition == report.Applied })
			if coverage.Tensors[first].Target != c.target {
				t.Errorf("the first is %+v", coverage.Tensors[first])
			}
		})
	}
}
