package adapter

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
)

func TestGGUFNormVector(t *testing.T) {
	a := opened(t, writeGGUF(t, "a.gguf", adapterPairs(), append(twoPairs(), ggufTensor{"blk.0.attn_norm.weight", gguf.Type(26), []int{4}, nil})))
	if !slices.Equal(codes(a.Notes), []fault.Code{fault.ADUnsupported}) {
		t.Errorf("notes %v", a.Notes)
	}
	binding, err := a.Bind(openGGUFBase(t, "llama", llamaBase()))
	if err != nil {
		t.Fatal(err)
	}
	if c := binding.Coverage; c.Applied != 4 || c.Ignored != 1 || c.Tensors[0].Rule != ruleNormVector {
		t.Errorf("coverage %+v", c)
	}
}

func TestGGUFBases(t *testing.T) {
	without := func(i int) []ggufTensor { return slices.Delete(llamaBase(), i, i+1) }
	other := func(i int, shape ...int) []ggufTensor {
		tensors := llamaBase()
		tensors[i].shape = shape
		return tensors
	}
	for _, c := range []struct {
		name         string
		architecture string
		base         []ggufTensor
		want         fault.Code
		rejected     int
		mentions     string
	}{
		{"another architecture", "qwen2", llamaBase(), fault.ADBase, 4, `"qwen2"`},
		{"no such tensor", "llama", without(3), fault.ADTarget, 2, "blk.0.ffn_up.weight"},
		{"fewer rows", "llama", other(3, 5, 4), fault.ADShape, 2, "5 x 4, and the factors are for 6 x 4"},
		{"fewer columns", "llama", other(2, 4, 3), fault.ADShape, 2, "4 x 3"},
		{"a vector", "llama", other(3, 24), fault.ADShape, 2, "[24]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := opened(t, writeGGUF(t, "a.gguf", adapterPairs(), twoPairs()))
			binding, err := a.Bind(openGGUFBase(t, c.architecture, c.base))
			expect(t, err, c.want)
			mention(t, err.Error(), c.mentions)
			if binding.Coverage.Rejected != c.rejected || binding.Targets != nil {
				t.Errorf("%d rejected, %d targets", binding.Coverage.Rejected, len(binding.Targets))
			}
		})
	}
	t.Run("a Hugging Face checkpoint", func(t *testing.T) {
		b, err := base.Open(shared(t, "models/stories260K/base"))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		_, err = opened(t, writeGGUF(t, "a.gguf", adapterPairs(), twoPairs())).Bind(b)
		expect(t, err, fault.ADBase)
		mention(t, err.Error(), "tenon convert")
	})
}

func TestGGUFUnbound(t *testing.T) {
	binding, err := opened(t, writeGGUF(t, "a.gguf", adapterPairs(), twoPairs())).Unbound()
	if err != nil || len(binding.Targets) != 2 || binding.Targets[1].Out != 6 || binding.Coverage.Applied != 4 {
		t.Errorf("%+v, %v", binding, err)
	}
}

func TestSharedGGUFAdapter(t *testing.T) {
	b, err := base.Open(shared(t, "models/stories260K/base.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	binding, err := opened(t, shared(t, "models/stories260K/adapter.gguf")).Bind(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(binding.Targets) != 35 || binding.Coverage.Applied != 70 || binding.Targets[0].Scale != 2 {
		t.Errorf("%d targets, coverage %+v", len(binding.Targets), binding.Coverage)
	}
}
