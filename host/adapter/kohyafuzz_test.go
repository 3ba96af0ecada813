package adapter

import (
	"strings"
	"testing"
)

// FuzzKohyaKey takes names apart: what is accepted has a part and a module that together are no longer than the name allows, has no control
// character, and is the same module again when it is written in the plainest dialect.
func FuzzKohyaKey(f *testing.F) {
	for _, name := range []string{
		"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha",
		"unet.down_blocks.0.attn1.processor.to_out_lora.up.weight", "transformer.blocks.0.attn.lora_A", "lycoris_x.lokr_w2_b",
		"diffusion_model.x.diff_b", "text_encoder.y.q_proj.lora_linear_layer.up.weight", "lora_unet_x.oft_blocks", "bundle_emb.x", ".alpha", "x..alpha",
		"lora_unet_.alpha", "_lora.up.weight", "a._lora.up.weight", "lora_A.lora_A", "x.dora_scale", "x.lora_B.default.weight",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		key, reason := parseSingleKey(name)
		if reason != "" {
			if key.remedy() == "" {
				t.Error("no remedy")
			}
			return
		}
		if key.part == Unknown || key.part == notSupported || key.module == "" || len(name) > maxName {
			t.Fatalf("%q is accepted as %+v", name, key)
		}
		if strings.ContainsFunc(key.module, isControl) || len(key.prefix)+len(key.module) > len(name)+2 {
			t.Fatalf("%q gives the module %q", name, key.module)
		}
		if key.flat && strings.Contains(key.module, ".") {
			t.Fatalf("%q is flat: %q", name, key.module)
		}
		again, reason := parseSingleKey(key.prefix + key.module + ".alpha")
		if len(name)+8 < maxName && (reason != "" || again.module != key.module || again.component != key.component || again.flat != key.flat) {
			t.Fatalf("%q gives %+v, and again %+v: %s", name, key, again, reason)
		}
	})
}
