package adapter

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestFlatNamesThatMeanTwoModules has two modules of the base whose paths differ only in where "_" and "." stand.
func TestFlatNamesThatMeanTwoModules(t *testing.T) {
	twins := edited(singleBase(), map[string]held{"a_b.c.weight": filled(8, 6)})
	_, err := bound(t, singleConfig, twins, flatFile("lora_unet_a_b_c"), nil)
	expect(t, err, fault.ADTarget)
	mention(t, err.Error(), "2 modules", "a.b_c, a_b.c", "dotted path")
	dotted := map[string]held{"unet.a_b.c.lora_A.weight": filled(2, 6), "unet.a_b.c.lora_B.weight": filled(8, 2)}
	binding, err := bound(t, singleConfig, twins, dotted, nil)
	if err != nil || binding.Targets[0].Name != "a_b.c.weight" {
		t.Error(err)
	}
}

func TestComponents(t *testing.T) {
	unet, first, second := "lora_unet_blocks_0_q", "lora_te1_a_d", "lora_te2_a_d"
	wide := map[string]held{second + ".lora_down.weight": filled(2, 9), second + ".lora_up.weight": filled(8, 2)}
	disposition := func(b *Binding, name string) report.Tensor {
		return b.Coverage.Tensors[slices.IndexFunc(b.Coverage.Tensors, func(r report.Tensor) bool { return r.Name == name })]
	}
	t.Run("the one that fits", func(t *testing.T) {
		binding, err := bound(t, singleConfig, singleBase(), edited(flatFile(unet, first), wide), nil)
		if err != nil {
			t.Fatal(err)
		}
		if c := binding.Coverage; c.Applied != 3 || c.Ignored != 5 || len(binding.Targets) != 1 {
			t.Errorf("coverage %+v", c)
		}
		if row := disposition(binding, second+".lora_up.weight"); row.Rule != ruleOtherComponent || row.Target != "" {
			t.Errorf("%+v", row)
		}
		mention(t, binding.Notes.Error(), "3 tensors of the denoiser (lora_unet_)", "2 tensors of the second text encoder (lora_te2_)")
	})
	t.Run("two that fit", func(t *testing.T) {
		_, err := bound(t, singleConfig, singleBase(), flatFile(first, "lora_te2_e_f"), nil)
		expect(t, err, fault.ADTarget)
		mention(t, err.Error(), "the second text encoder and of the text encoder", "split the adapter")
	})
	t.Run("one that fits in part", func(t *testing.T) {
		binding, err := bound(t, singleConfig, singleBase(), flatFile(unet, first, "lora_te1_a_x"), nil)
		expect(t, err, fault.ADTarget)
		if row := disposition(binding, unet+".alpha"); row.Disposition != report.Ignored {
			t.Errorf("%+v", row)
		}
	})
	t.Run("nothing fits", func(t *testing.T) {
		binding, err := bound(t, singleConfig, singleBase(), flatFile(unet, "lora_te1_z"), nil)
		expect(t, err, fault.ADTarget, fault.ADTarget)
		if binding.Coverage.Rejected != 6 {
			t.Errorf("%+v", binding.Coverage)
		}
	})
	t.Run("names without a prefix belong to every base", func(t *testing.T) {
		_, err := bound(t, singleConfig, singleBase(), edited(flatFile(first), map[string]held{"z.y.lora_A": filled(2, 6), "z.y.lora_B": filled(8, 2)}), nil)
		expect(t, err, fault.ADTarget)
	})
	t.Run("a prefix that is the module's own", func(t *testing.T) {
		own := map[string]held{"transformer.h.weight": filled(8, 6)}
		binding, err := bound(t, singleConfig, own, map[string]held{"transformer.h.lora_A.weight": filled(2, 6), "transformer.h.lora_B.weight": filled(8, 2)}, nil)
		if err != nil || binding.Targets[0].Name != "transformer.h.weight" {
			t.Error(err)
		}
	})
}

// TestTextModel binds a text encoder whose paths have text_model on one side only.
func TestTextModel(t *testing.T) {
	for _, c := range []struct{ base, file string }{
		{"encoder.q.weight", "lora_te_text_model_encoder_q"},
		{"text_model.encoder.q.weight", "lora_te1_encoder_q"},
		{"encoder.q.weight", "text_encoder.text_model.encoder.q"},
	} {
		binding, err := bound(t, singleConfig, map[string]held{c.base: filled(8, 6)}, flatFile(c.file), nil)
		if err != nil || binding.Targets[0].Name != c.base {
			t.Fatal(c.file, err)
		}
		mention(t, binding.Notes.Error(), "text_model")
	}
	_, err := bound(t, singleConfig, map[string]held{"encoder.q.weight": filled(8, 6)}, flatFile("lora_unet_text_model_encoder_q"), nil)
	expect(t, err, fault.ADTarget)
}

func TestBasesThatSingleFilesDoNotFit(t *testing.T) {
	factors := func(module string) map[string]held { return flatFile("lycoris_" + module) }
	tied := `{"model_type": "llama", "tie_word_embeddings": true}`
	for _, c := range []struct {
		name, config string
		base         map[string]held
		file         map[string]held
		want         fault.Code
	}{
		{"tied", tied, map[string]held{"model.embed_tokens.weight": filled(8, 6)}, factors("model_embed_tokens"), fault.ADTied},
		{"tied head", tied, map[string]held{"lm_head.weight": filled(8, 6)}, factors("lm_head"), fault.ADTied},
		{"stored in x out", `{"model_type": "gpt2"}`, map[string]held{"h.0.attn.c_attn.weight": filled(8, 6)}, factors("h_0_attn_c_attn"), fault.ADShape},
		{"of another type", singleConfig, map[string]held{"q.weight": {tensor.F64, []int{8, 6}, make([]byte, 384)}}, factors("q"), fault.ADDType},
		{"a bias of another type", singleConfig, map[string]held{"q.weight": filled(8), "q.bias": {tensor.F64, []int{8}, make([]byte, 64)}},
			map[string]held{"lycoris_q.b_norm": filled(8)}, fault.ADDType},
		{"a vector", singleConfig, map[string]held{"q.weight": filled(8)}, factors("q"), fault.ADShape},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := bound(t, c.config, c.base, c.file, nil)
			expect(t, err, c.want)
		})
	}
	binding, err := bound(t, `{"model_type": "gpt2", "tie_word_embeddings": false}`, map[string]held{"wte.weight": filled(8, 6)}, factors("wte"), nil)
	if err != nil || len(binding.Targets) != 1 {
		t.Error(err)
	}
}

func TestSettingsOfDiffusers(t *testing.T) {
	file := map[string]held{"transformer.a.d.lora_A.weight": filled(2, 6), "transformer.a.d.lora_B.weight": filled(8, 2)}
	for _, c := range []struct {
		name, settings string
		file           map[string]held
		scale          float64
		want           []fault.Code
		say            string
	}{
		{"alpha", `{"transformer.r": 2, "transformer.lora_alpha": 8}`, file, 4, nil, ""},
		{"of another component", `{"text_encoder.r": 5, "text_encoder.lora_alpha": 8, "text_encoder.use_dora": true}`, file, 1, nil, ""},
		{"alpha twice, the same", `{"transformer.r": 2, "transformer.lora_alpha": 8}`, edited(file, map[string]held{"transformer.a.d.alpha": scalar(8)}), 4, nil, ""},
		{"alpha twice", `{"transformer.r": 2, "transformer.lora_alpha": 8}`, edited(file, map[string]held{"transformer.a.d.alpha": scalar(4)}), 0,
			[]fault.Code{fault.ADAlpha}, "remove the one"},
		{"another rank", `{"transformer.r": 3, "transformer.lora_alpha": 8}`, file, 0, []fault.Code{fault.ADRankMismatch}, "rank 3"},
		{"magnitudes that are not there", `{"transformer.r": 2, "transformer.lora_alpha": 8, "transformer.use_dora": true}`, file, 0, []fault.Code{fault.ADPair}, "use_dora true"},
		{"a changed base", `{"transformer.r": 2, "transformer.lora_alpha": 8, "transformer.init_lora_weights": "pissa_niter_4"}`, file, 0,
			[]fault.Code{fault.ADUnsupported}, "pissa_niter_4"},
		{"a bias", `{"transformer.r": 2, "transformer.lora_alpha": 8, "transformer.lora_bias": true}`, file, 0, []fault.Code{fault.ADUnsupported},
			"lora_bias"},
		{"a rank that is none", `{"transformer.r": 0, "transformer.lora_alpha": 8}`, file, 0, []fault.Code{fault.ADRank}, "lora_adapter_metadata"},
		{"no object", `[]`, file, 0, []fault.Code{fault.ADConfig}, "not a JSON object"},
		{"a name twice", `{"transformer.r": 2, "transformer.r": 2}`, file, 0, []fault.Code{fault.ADConfig}, ""},
		{"too long", `{"x": "` + strings.Repeat("x", maxConfigBytes) + `"}`, file, 0, []fault.Code{fault.ADConfig}, "limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			binding, err := bound(t, singleConfig, singleBase(), c.file, map[string]string{settingsKey: c.settings})
			expect(t, err, c.want...)
			if err != nil {
				mention(t, err.Error(), c.say)
			} else if binding.Targets[0].Scale != c.scale {
				t.Errorf("scale %v", binding.Targets[0].Scale)
			}
		})
	}
}

func TestMetadataIsHeldAgainstTheTensors(t *testing.T) {
	file := flatFile("lora_unet_a_d")
	full := map[string]held{"lora_unet_a_d.lokr_w1": filled(2, 2), "lora_unet_a_d.lokr_w2": filled(4, 3), "lora_unet_a_d.alpha": scalar(3)}
	for _, c := range []struct {
		name     string
		file     map[string]held
		metadata map[string]string
		say      string // "" for nothing
	}{
		{"what fits", file, map[string]string{"ss_network_dim": "2", "ss_network_alpha": "1.0", "ss_network_args": "{}", "ss_sd_model_name": "None"}, ""},
		{"another rank", file, map[string]string{"ss_network_dim": "64"}, "rank 64"},
		{"another alpha", file, map[string]string{"ss_network_alpha": "16"}, "alpha 16"},
		{"a dynamic rank", file, map[string]string{"ss_network_dim": "Dynamic"}, ""},
		{"another model", file, map[string]string{"modelspec.architecture": "flux-1-dev/lora\x1b[2J" + strings.Repeat("x", 300)}, `"flux-1-dev/lora\x1b[2J`},
		{"other bytes", file, map[string]string{"sshs_model_hash": strings.Repeat("0", 64)}, "another SHA-256"},
		{"other bytes, by modelspec", file, map[string]string{"modelspec.hash_sha256": "0x" + strings.Repeat("0", 64)}, "another SHA-256"},
		{"another algorithm", file, map[string]string{"ss_network_args": `{"algo": "LoHa"}`}, `algorithm "loha"`},
		{"no magnitudes", file, map[string]string{"ss_network_args": `{"dora_wd": "True"}`}, "has no magnitudes"},
		{"rank-stabilized", file, map[string]string{"ss_network_args": `{"rs_lora": true}`, "ss_network_alpha": "7"}, "rank-stabilized"},
		{"rank-stabilized LoKr", full, map[string]string{"ss_network_args": `{"rs_lora": "True"}`}, "with the scale 1"},
		{"no object", file, map[string]string{"ss_network_args": "[1"}, "were not looked at"},
	} {
		t.Run(c.name, func(t *testing.T) {
			binding, err := bound(t, singleConfig, singleBase(), c.file, c.metadata)
			if err != nil {
				t.Fatal(err)
			}
			switch notes := binding.Notes; {
			case c.say == "" && len(notes) > 0:
				t.Errorf("notes %v", notes)
			case c.say != "":
				mention(t, notes.Error(), c.say)
				if len(notes) > 1 && c.name != "rank-stabilized LoKr" {
					t.Errorf("notes %v", notes)
				}
			}
			if scale := binding.Targets[0].Scale; c.name != "rank-stabilized LoKr" && scale != 0.5 || c.name == "rank-stabilized LoKr" && scale != 1 {
				t.Errorf("scale %v", scale)
			}
		})
	}
}

// TestDerivedBytes wants the same bytes however many processors there are.
func TestDerivedBytes(t *testing.T) {
	want := ""
	for _, processors := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(processors)
		row := filepath.Join("testdata", "kohya", "loha-whole")
		a := readSingleFile(t, filepath.Join(row, "adapter.safetensors"))
		binding, err := a.Bind(openBase(t, filepath.Join(row, "base")))
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		sum := binding.Derived.SHA256()
		if got := hex.EncodeToString(sum[:]); want == "" {
			want = got
		} else if got != want {
			t.Errorf("%s with %d processors", got, processors)
		}
		binding.Close()
	}
}

// TestDerivedLimits wants what cannot be computed refused before anything is.
func TestDerivedLimits(t *testing.T) {
	for _, c := range []struct {
		rows, cols, multiplications int
		bound, ok                   bool
	}{
		{1 << 14, 1 << 14, 1 << 10, true, true},
		{1 << 14, 1 << 14, 1 << 20, true, false},
		{1 << 40, 1 << 40, 1, true, false},
		{1 << 14, 1 << 14, 1, false, true},
		{1 << 16, 1 << 16, 1, false, false},
	} {
		d := derivation{file: "x"}
		d.matrix(computed{name: "x", rows: c.rows, cols: c.cols}, c.multiplications)
		if e := d.check(c.bound); (e == nil) != c.ok {
			t.Errorf("%+v: %v", c, e)
		}
	}
}

// TestUnboundSingleFile wants what needs no base.
func TestUnboundSingleFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	a := readSingleFile(t, written(t, path, flatFile("lora_unet_a_d", "lora_te1_b"), nil))
	binding, err := a.Unbound()
	if err != nil || len(binding.Targets) != 2 || binding.Targets[1].Name != "lora_unet_a_d.weight" || binding.Targets[1].Out != 8 || binding.Coverage.Applied != 6 {
		t.Fatalf("%v %+v", err, binding)
	}
	if !slices.Equal(a.Ranks(), []int{2}) || !slices.Equal(a.Scales(), []float64{0.5}) {
		t.Errorf("ranks %v, scales %v", a.Ranks(), a.Scales())
	}
	huge := map[string]held{"lora_unet_a.lokr_w1": filled(64, 64), "lora_unet_a.lokr_w2": filled(64, 64)}
	a = readSingleFile(t, written(t, path, huge, nil))
	_, err = a.Unbound()
	expect(t, err, fault.ADUnsupported)
	mention(t, err.Error(), "give the base")
}

// TestLoadOfASingleFile goes the way that every user goes, by the file's path.
func TestLoadOfASingleFile(t *testing.T) {
	row := filepath.Join("testdata", "kohya", "lokr")
	path := filepath.Join(row, "adapter.safetensors")
	binding, err := Load(path, openBase(t, filepath.Join(row, "base")))
	if err != nil {
		t.Fatal(err)
	}
	defer binding.Close()
	a := binding.Adapter
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	if a.Format != FormatKohya || a.Digest != sha256.Sum256([]byte(hex.EncodeToString(sum[:])+"  adapter.safetensors\n")) {
		t.Errorf("format %s, digest %x", a.Format, a.Digest)
	}
	if len(binding.Targets) != 7 || binding.Derived == nil {
		t.Errorf("%d targets", len(binding.Targets))
	}
}
