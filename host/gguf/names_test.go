package gguf

import "testing"

func TestNames(t *testing.T) {
	for _, c := range []struct{ family, hf, gguf string }{
		{"llama", "model.embed_tokens.weight", "token_embd.weight"},
		{"llama", "model.norm.weight", "output_norm.weight"},
		{"llama", "lm_head.weight", "output.weight"},
		{"llama", "model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"},
		{"llama", "model.layers.31.self_attn.q_proj.weight", "blk.31.attn_q.weight"},
		{"mistral", "model.layers.7.self_attn.k_proj.weight", "blk.7.attn_k.weight"},
		{"mistral", "model.layers.7.self_attn.o_proj.weight", "blk.7.attn_output.weight"},
		{"qwen2", "model.layers.10.self_attn.v_proj.bias", "blk.10.attn_v.bias"},
		{"qwen2", "model.layers.10.post_attention_layernorm.weight", "blk.10.ffn_norm.weight"},
		{"qwen3", "model.layers.2.self_attn.q_norm.weight", "blk.2.attn_q_norm.weight"},
		{"qwen3", "model.layers.2.mlp.gate_proj.weight", "blk.2.ffn_gate.weight"},
		{"gpt2", "transformer.wte.weight", "token_embd.weight"},
		{"gpt2", "transformer.wpe.weight", "position_embd.weight"},
		{"gpt2", "transformer.ln_f.bias", "output_norm.bias"},
		{"gpt2", "transformer.h.11.attn.c_attn.weight", "blk.11.attn_qkv.weight"},
		{"gpt2", "transformer.h.11.attn.c_proj.bias", "blk.11.attn_output.bias"},
		{"gpt2", "transformer.h.0.mlp.c_fc.weight", "blk.0.ffn_up.weight"},
		{"gpt2", "transformer.h.0.mlp.c_proj.weight", "blk.0.ffn_down.weight"},
		{"gpt2", "transformer.h.0.ln_2.weight", "blk.0.ffn_norm.weight"},
	} {
		t.Run(c.hf, func(t *testing.T) {
			a, ok := ArchitectureOf(c.family)
			if !ok {
				t.Fatalf("no architecture for %s", c.family)
			}
			if got, ok := a.GGUF(c.hf); !ok || got != c.gguf {
				t.Errorf("GGUF gives %q, %v; want %q", got, ok, c.gguf)
			}
			if got, ok := a.HF(c.gguf); !ok || got != c.hf {
				t.Errorf("HF gives %q, %v; want %q", got, ok, c.hf)
			}
		})
	}
}

func TestNamesThatAreNone(t *testing.T) {
	llama, _ := ArchitectureOf("llama")
	gpt2, _ := ArchitectureNamed("gpt2")
	for _, hf := range []string{
		"", "weight", ".weight", "model.layers.0.self_attn.q_proj", "model.layers.00.self_attn.q_proj.weight", "model.layers.-1.mlp.up_proj.weight",
		"model.layers.x.mlp.up_proj.weight", "model.layers.99999999999999999999.mlp.up_proj.weight", "layers.0.mlp.up_proj.weight",
		"model.layers.0.mlp.experts.0.up_proj.weight", "model.layers.0.self_attn.q_norm.weight", "model.layers.0.mlp.up_proj.lora_A.weight",
	} {
		if got, ok := llama.GGUF(hf); ok {
			t.Errorf("llama has %q as %q", hf, got)
		}
	}
	for _, name := range []string{
		"", "blk.0.attn_q", "blk.01.attn_q.weight", "blk.0.attn_qkv.weight", "blk.0.weight", "rope_freqs.weight", "xblk.0.attn_q.weight",
	} {
		if got, ok := llama.HF(name); ok {
			t.Errorf("llama has %q as %q", name, got)
		}
	}
	if got, ok := gpt2.GGUF("h.3.mlp.c_fc.weight"); !ok || got != "blk.3.ffn_up.weight" {
		t.Errorf("a checkpoint of GPT-2 without its root gives %q, %v", got, ok)
	}
	if _, ok := ArchitectureOf("mixtral"); ok {
		t.Error("mixtral, whose experts are stacked, has an architecture")
	}
}

func TestArrangement(t *testing.T) {
	for _, c := range []struct {
		architecture, name string
		heads              int
		transposed         bool
	}{
		{"llama", "blk.3.attn_q.weight", 32, false},
		{"llama", "blk.3.attn_k.weight", 8, false},
		{"llama", "blk.3.attn_q.bias", 32, false},
		{"llama", "blk.3.attn_v.weight", 0, false},
		{"llama", "blk.3.attn_output.weight", 0, false},
		{"llama", "token_embd.weight", 0, false},
		{"qwen2", "blk.3.attn_q.weight", 0, false},
		{"qwen3", "blk.3.attn_k.weight", 0, false},
		{"gpt2", "blk.3.attn_qkv.weight", 0, true},
		{"gpt2", "blk.3.attn_qkv.bias", 0, false},
		{"gpt2", "blk.3.ffn_down.weight", 0, true},
		{"gpt2", "blk.3.ffn_norm.weight", 0, false},
		{"gpt2", "token_embd.weight", 0, false},
		{"gpt2", "position_embd.weight", 0, false},
		{"gpt2", "output.weight", 0, false},
	} {
		t.Run(c.architecture+" "+c.name, func(t *testing.T) {
			a, _ := ArchitectureNamed(c.architecture)
			if got := a.Heads(c.name, 32, 8); got != c.heads {
				t.Errorf("rows are reordered by %d heads, want %d", got, c.heads)
			}
			if got := a.Transposed(c.name); got != c.transposed {
				t.Errorf("transposed %v, want %v", got, c.transposed)
			}
		})
	}
}
