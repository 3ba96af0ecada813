package adapter

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
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
		{"distilbert-imdb", 28, 12, 4},
		{"distilbert-emotion", 28, 12, 4},
		{"gpt2-r8", 25, 12, 2},       // its score head, and fan_in_fan_out against a Llama
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
			if binding.Coverage.Rejected != c.tensors || binding.Coverage.Applied != 0 {
				t.Errorf("coverage %d rejected, %d applied", binding.Coverage.Rejected, binding.Coverage.Applied)
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
