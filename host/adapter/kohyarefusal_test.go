package adapter

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

const (
	singleConfig = `{"model_type": "plain"}`

	downKey, upKey, alphaKey = "lora_unet_a_b_c.lora_down.weight", "lora_unet_a_b_c.lora_up.weight", "lora_unet_a_b_c.alpha"
	flatName                 = "lora_unet_a_b_c."
)

// none takes a tensor out.
var none held

// TestSingleFileTwins changes one thing of a file that binds, and wants the refusal.
func TestSingleFileTwins(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	loha := map[string]held{downKey: none, upKey: none, flatName + "hada_w1_a": filled(8, 2), flatName + "hada_w1_b": filled(2, 6),
		flatName + "hada_w2_a": filled(8, 2), flatName + "hada_w2_b": filled(2, 6)}
	lokr := map[string]held{downKey: none, upKey: none, flatName + "lokr_w1": filled(2, 2), flatName + "lokr_w2_a": filled(4, 2),
		flatName + "lokr_w2_b": filled(2, 3)}
	for _, c := range []struct {
		name    string
		changes map[string]held
		more    map[string]held
		want    []fault.Code
		say     []string
	}{
		{"as it is", nil, nil, nil, nil},
		{"LoHa as it is", loha, nil, nil, nil},
		{"LoKr as it is", lokr, nil, nil, nil},
		{"no up", map[string]held{upKey: none}, nil, []fault.Code{fault.ADPair}, []string{"has no lora_up"}},
		{"no down", map[string]held{downKey: none}, nil, []fault.Code{fault.ADPair}, []string{"has no lora_down"}},
		{"alpha alone", map[string]held{downKey: none, upKey: none}, nil, []fault.Code{fault.ADPair}, []string{"no change of its weight"}},
		{"a core alone", map[string]held{downKey: none, upKey: none, flatName + "lora_mid.weight": filled(2, 2, 3)}, nil, []fault.Code{fault.ADPair}, nil},
		{"alpha 0", map[string]held{alphaKey: scalar(0)}, nil, []fault.Code{fault.ADAlpha}, []string{"alpha is 0"}},
		{"alpha NaN", map[string]held{alphaKey: scalar(float32(nan))}, nil, []fault.Code{fault.ADNonFinite}, []string{alphaKey}},
		{"alpha Inf", map[string]held{alphaKey: scalar(float32(inf))}, nil, []fault.Code{fault.ADNonFinite}, nil},
		{"alpha of two", map[string]held{alphaKey: filled(2)}, nil, []fault.Code{fault.ADAlpha}, []string{"must be one number"}},
		{"alpha a boolean", map[string]held{alphaKey: {tensor.Bool, []int{}, []byte{1}}}, nil, []fault.Code{fault.ADAlpha}, nil},
		{"rank differs", map[string]held{upKey: filled(8, 3)}, nil, []fault.Code{fault.ADRankMismatch}, []string{"rank 2", "rank 3"}},
		{"swapped", map[string]held{upKey: filled(2, 6), downKey: filled(8, 2)}, nil, []fault.Code{fault.ADRankMismatch}, []string{"swapped"}},
		{"a type that is not read", map[string]held{upKey: {tensor.F64, []int{8, 2}, make([]byte, 128)}}, nil, []fault.Code{fault.ADDType}, nil},
		{"an empty side", map[string]held{upKey: filled(8, 0), downKey: filled(0, 6)}, nil, []fault.Code{fault.ADShape, fault.ADShape}, nil},
		{"a vector", map[string]held{upKey: filled(8)}, nil, []fault.Code{fault.ADShape}, nil},
		{"too many dimensions", map[string]held{upKey: filled(8, 2, 1, 1, 1, 1)}, nil, []fault.Code{fault.ADShape}, nil},
		{"an up with a kernel", map[string]held{upKey: filled(8, 2, 3)}, nil, []fault.Code{fault.ADShape}, nil},
		{"another width", map[string]held{downKey: filled(2, 7)}, nil, []fault.Code{fault.ADShape}, []string{"[8 6]", "[8 7]", "a.b_c.weight"}},
		{"a kernel on a matrix", map[string]held{downKey: filled(2, 6, 3)}, nil, []fault.Code{fault.ADShape}, nil},
		{"the wrong kernel", nil, map[string]held{"lora_unet_k.lora_down.weight": filled(2, 3, 6), "lora_unet_k.lora_up.weight": filled(8, 2, 1)},
			[]fault.Code{fault.ADShape}, []string{"[8 6 3]"}},
		{"a typo", nil, flatFile("lora_unet_a_dd"), []fault.Code{fault.ADTarget}, []string{`did you mean "a.d"`}},
		{"a module of another model", nil, flatFile("lora_unet_blocks_0_attn"), []fault.Code{fault.ADTarget}, []string{"give the base this adapter"}},
		{"a name outside the grammar", nil, map[string]held{"lora_unet_a_d.weights": filled(1)}, []fault.Code{fault.ADKey}, nil},
		{"a parameter", nil, map[string]held{"lora_unet_a_d.weight": filled(8, 6)}, []fault.Code{fault.ADKey}, nil},
		{"an unknown prefix", nil, map[string]held{"lora_vae_a_d.lora_up.weight": filled(8, 2)}, []fault.Code{fault.ADKey}, []string{"no known prefix"}},
		{"an empty element", nil, map[string]held{"unet.a..d.alpha": scalar(1)}, []fault.Code{fault.ADKey}, nil},
		{"a control character", nil, map[string]held{"lora_unet_a\x1b[2Jd.alpha": scalar(1)}, []fault.Code{fault.ADKey}, nil},
		{"a long name", nil, map[string]held{"lora_unet_" + strings.Repeat("x", 512) + ".alpha": scalar(1)}, []fault.Code{fault.ADKey},
			[]string{"the limit is 512"}},
		{"twice, by two spellings", nil, map[string]held{"unet.a.b_c.lora_A.weight": filled(2, 6), "unet.a.b_c.lora_B.weight": filled(8, 2)},
			[]fault.Code{fault.ADTwice}, []string{"adapted twice"}},
		{"a part twice", nil,
			map[string]held{"unet.a.d.lora_A.weight": filled(2, 6), "unet.a.d.lora_B.weight": filled(8, 2), "unet.a.d.lora_up.weight": filled(8, 2)},
			[]fault.Code{fault.ADTwice}, nil},
		{"two kinds", map[string]held{flatName + "diff": filled(8, 6)}, nil, []fault.Code{fault.ADTwice}, []string{"several kinds"}},
		{"two whole deltas", nil, map[string]held{"lora_unet_norm.diff": filled(8), "lora_unet_norm.w_norm": filled(8)}, []fault.Code{fault.ADTwice}, nil},
		{"two changes of a bias", nil, map[string]held{"lora_unet_norm.diff_b": filled(8), "lora_unet_norm.b_norm": filled(8)},
			[]fault.Code{fault.ADTwice}, nil},
		{"a bias that is not there", map[string]held{flatName + "diff_b": filled(8)}, nil, []fault.Code{fault.ADTarget}, []string{"has no bias"}},
		{"a bias of another length", nil, map[string]held{"lora_unet_norm.b_norm": filled(9)}, []fault.Code{fault.ADShape}, nil},
		{"a whole delta of another shape", nil, map[string]held{"lora_unet_a_d.diff": filled(8, 3, 2)}, []fault.Code{fault.ADShape}, nil},
		{"a whole delta that is transposed", nil, map[string]held{"lora_unet_a_d.diff": filled(6, 8)}, []fault.Code{fault.ADShape}, nil},
		{"NaN in a whole delta", nil, map[string]held{"lora_unet_a_d.diff": filled(8, 6).with(7, nan).with(9, inf)}, []fault.Code{fault.ADNonFinite},
			[]string{`"lora_unet_a_d.diff"`, "2 of 48 values", "index 7"}},
		{"NaN in a bias", nil, map[string]held{"lora_unet_norm.b_norm": filled(8).with(7, nan)}, []fault.Code{fault.ADNonFinite}, []string{"index 7"}},
		{"magnitudes of NaN", map[string]held{flatName + "dora_scale": filled(8, 1).with(0, nan)}, nil, []fault.Code{fault.ADNonFinite},
			[]string{"dora_scale"}},
		{"magnitudes of another length", map[string]held{flatName + "dora_scale": filled(7, 1)}, nil, []fault.Code{fault.ADShape},
			[]string{"8 outputs and 6 inputs"}},
		{"magnitudes across", map[string]held{flatName + "dora_scale": filled(1, 8)}, nil, []fault.Code{fault.ADShape}, nil},
		{"two magnitudes", map[string]held{flatName + "dora_scale": filled(8, 1), flatName + "lora_magnitude_vector": filled(8)}, nil,
			[]fault.Code{fault.ADTwice}, nil},
		{"magnitudes of a whole delta", nil, map[string]held{"lora_unet_a_d.diff": filled(8, 6), "lora_unet_a_d.dora_scale": filled(8, 1)},
			[]fault.Code{fault.ADPair}, nil},
		{"magnitudes alone", nil, map[string]held{"lora_unet_a_d.dora_scale": filled(8, 1)}, []fault.Code{fault.ADPair}, nil},
		{"magnitudes of a bias", nil, map[string]held{"lora_unet_norm.diff_b": filled(8), "lora_unet_norm.dora_scale": filled(8, 1)},
			[]fault.Code{fault.ADPair}, nil},
		{"LoHa without a factor", loha, map[string]held{flatName + "hada_w2_b": none}, []fault.Code{fault.ADPair}, []string{"hada_w2_b"}},
		{"LoHa with one core", loha, map[string]held{flatName + "hada_t1": filled(2, 2, 3)}, []fault.Code{fault.ADPair}, []string{"hada_t2"}},
		{"LoHa of two shapes", loha, map[string]held{flatName + "hada_w2_b": filled(2, 7)}, []fault.Code{fault.ADShape}, nil},
		{"LoHa of another rank", loha, map[string]held{flatName + "hada_w2_b": filled(3, 6)}, []fault.Code{fault.ADRankMismatch}, nil},
		{"NaN in LoHa", loha, map[string]held{flatName + "hada_w2_b": filled(2, 6).with(11, nan)}, []fault.Code{fault.ADNonFinite}, []string{"index 11"}},
		{"LoHa out of range", loha, map[string]held{flatName + "hada_w1_a": filled(8, 2).with(3, 1e30), flatName + "hada_w2_a": filled(8, 2).with(3, 1e30)},
			[]fault.Code{fault.ADOverflowOnMerge}, []string{"does not fit F32", "row 1"}},
		{"LoKr without a factor", lokr, map[string]held{flatName + "lokr_w2_b": none}, []fault.Code{fault.ADPair}, []string{"lokr_w2_b"}},
		{"LoKr without a side", lokr, map[string]held{flatName + "lokr_w1": none}, []fault.Code{fault.ADPair}, []string{"lokr_w1"}},
		{"LoKr with a side twice", lokr, map[string]held{flatName + "lokr_w2": filled(4, 3)}, []fault.Code{fault.ADTwice},
			[]string{"lokr_w2 whole and as a product"}},
		{"LoKr with the other side twice", lokr, map[string]held{flatName + "lokr_w1_a": filled(2, 1)}, []fault.Code{fault.ADTwice}, nil},
		{"LoKr of two ranks", lokr, map[string]held{flatName + "lokr_w1": none, flatName + "lokr_w1_a": filled(2, 1), flatName + "lokr_w1_b": filled(1, 2)},
			[]fault.Code{fault.ADRankMismatch}, []string{"ranks 1 and 2"}},
		{"LoKr of another shape", lokr, map[string]held{flatName + "lokr_w1": filled(2, 3)}, []fault.Code{fault.ADShape}, []string{"[8 9]"}},
		{"LoKr with a left kernel", lokr, map[string]held{flatName + "lokr_w1": filled(2, 2, 3)}, []fault.Code{fault.ADShape}, nil},
		{"a core of another rank", nil, map[string]held{"lora_unet_k.lora_down.weight": filled(2, 6, 1), "lora_unet_k.lora_mid.weight": filled(3, 2, 3),
			"lora_unet_k.lora_up.weight": filled(8, 2, 1)}, []fault.Code{fault.ADRankMismatch}, nil},
		{"NaN in a core", nil, map[string]held{"lora_unet_k.lora_down.weight": filled(2, 6, 1), "lora_unet_k.lora_mid.weight": filled(2, 2, 3).with(5, inf),
			"lora_unet_k.lora_up.weight": filled(8, 2, 1)}, []fault.Code{fault.ADNonFinite}, []string{"lora_mid", "index 5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tensors := edited(edited(flatFile("lora_unet_a_b_c", "lora_unet_e_f"), c.changes), c.more)
			_, err := bound(t, singleConfig, singleBase(), tensors, nil)
			expect(t, err, c.want...)
			if err != nil {
				mention(t, err.Error(), c.say...)
			}
		})
	}
}

// TestRefusedParts wants every part that nothing is made of refused by its name.
func TestRefusedParts(t *testing.T) {
	for ending := range refusedEndings {
		for _, module := range []string{"lora_unet_a_d.", "diffusion_model.a.d."} {
			tensors := edited(flatFile("lora_unet_a_b_c"), map[string]held{module + ending: filled(2), module + "alpha": scalar(1)})
			binding, err := bound(t, singleConfig, singleBase(), tensors, nil)
			expect(t, err, fault.ADUnsupported)
			mention(t, err.Error(), fmt.Sprintf("%q", module+ending), "it ")
			if i := slices.IndexFunc(binding.Adapter.Tensors, func(x Tensor) bool { return x.Name == module+ending }); binding.Adapter.Tensors[i].Refused == "" {
				t.Error("the tensor is not marked")
			}
		}
	}
	_, err := bound(t, singleConfig, singleBase(), edited(flatFile("lora_unet_a_b_c"), map[string]held{"bundle_emb.token.string_to_param.*": filled(2)}), nil)
	expect(t, err, fault.ADUnsupported)
}
