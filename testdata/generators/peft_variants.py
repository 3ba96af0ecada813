"""The rows of peft_rows.py that are of one pair of factors: the kinds of modules, and what selects them."""

import numpy as np
import torch
import transformers
from torch import nn

from peft_formulas import (CASES, Attention, Case, Convolutions, Mixture, Plain, case, convolution, copied, delta, embedding, experts, gpt2,
                           linear, llama, lora, scale, transposed)

# Linear modules.

for _name, _dtype, _autocast in (("linear-f32", torch.float32, True), ("linear-bf16", torch.bfloat16, True), ("linear-f16", torch.float16, True),
                                 ("linear-bf16-factors", torch.bfloat16, False), ("linear-f16-factors", torch.float16, False)):
    CASES[_name] = lambda dtype=_dtype, autocast=_autocast: Case(Plain, lora("first", "second"), linear, dtype, autocast)


@case
def all_linear():
    return Case(llama(), lora(target_modules="all-linear"), linear, torch.bfloat16)


@case
def fan_in_fan_out():
    return Case(gpt2, lora("c_attn", "c_proj", "c_fc", fan_in_fan_out=True), transposed, torch.float16)


@case
def fan_in_fan_out_bare():
    """The checkpoint of the hub's gpt2 has no "transformer." before its names."""
    short = lambda name: name.removeprefix("transformer.")
    return Case(gpt2, lora("c_attn", fan_in_fan_out=True),
                lambda base, a, c: transposed(base, {short(k): v for k, v in a.items()}, c),
                rename=lambda tensors, merged: {short(k): v for k, v in tensors.items()}, target=lambda target, name: short(target))


@case
def wrapped_prefix():
    """transformers 5 saves a LLaVA under the names of version 4, and PEFT saves the adapter under those of version 5."""
    text = dict(vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)
    vision = dict(model_type="clip_vision_model", hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=4,
                  patch_size=2)
    on_disk = lambda name: name.replace("model.language_model.", "language_model.model.")
    return Case(lambda: transformers.LlavaForConditionalGeneration(transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**text).to_dict(), vision_config=vision)), lora(target_modules=r".*language_model.*\.(q|v)_proj"),
        lambda base, a, c: linear(base, {on_disk(k): v for k, v in a.items()}, c), torch.bfloat16, target=lambda target, name: on_disk(target))


@case
def wrapped_prefix_flat():
    """The same of a Qwen2-VL, where the names on disk have no wrapper at all."""
    text = dict(vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                rope_scaling={"type": "mrope", "mrope_section": [1, 1]})
    vision = dict(depth=1, embed_dim=8, hidden_size=8, num_heads=2, mlp_ratio=1, patch_size=2, in_channels=3)
    on_disk = lambda name: name.replace("model.language_model.", "model.")
    return Case(lambda: transformers.Qwen2VLForConditionalGeneration(transformers.Qwen2VLConfig(text_config=text, vision_config=vision)),
                lora(target_modules=r".*language_model.*\.(q|v)_proj"), lambda base, a, c: linear(base, {on_disk(k): v for k, v in a.items()}, c),
                torch.bfloat16, target=lambda target, name: on_disk(target))


@case
def rank_stabilized():
    return Case(Plain, lora("first", "second", use_rslora=True), linear)


@case
def patterns():
    """The first pattern that fits counts. PEFT sorts the patterns when it saves, so they are sorted here."""
    def oracle(base, a, c):
        ranks = {"model.layers.0.self_attn.q_proj": 3, "model.layers.1.self_attn.q_proj": 2, "model.layers.0.self_attn.v_proj": 4,
                 "model.layers.1.self_attn.v_proj": 2}
        alphas = {"model.layers.1.self_attn.q_proj": 5, "model.layers.1.self_attn.v_proj": 5}
        return {m + ".weight": base[m + ".weight"] + delta(a, m, scale(c, r, alphas.get(m))) for m, r in ranks.items()}

    return Case(llama(num_hidden_layers=2), lora("q_proj", "v_proj", rank_pattern={r"layers\.1\.self_attn\.[qv]_proj": 2, "q_proj": 3},
                                                 alpha_pattern={r"^model\.layers\.1\..*": 5, "v_proj": 6}), oracle)


@case
def layers():
    return Case(llama(num_hidden_layers=3), lora("q_proj", "v_proj", layers_to_transform=[0, 2], layers_pattern="layers"), linear)


@case
def excluded():
    return Case(llama(num_hidden_layers=2), lora(target_modules=r".*\.(q|k|v)_proj", exclude_modules=["layers.0.self_attn.v_proj", "k_proj"]), linear)


# Embeddings.

@case
def embeddings():
    return Case(llama(), lora("embed_tokens"), embedding, saving=dict(save_embedding_layers=False))


@case
def embeddings_saved():
    """PEFT adds a copy of the base's embedding by itself."""
    return Case(llama(), lora("embed_tokens", "lm_head"), lambda base, a, c: embedding(base, a, c) | linear(base, a, c), torch.bfloat16)


@case
def embeddings_saved_beside():
    """Copies of both tables where neither is adapted, as PEFT saves them when it takes the vocabulary for a changed one: one is the base's."""
    name = "model.embed_tokens.weight"
    return Case(llama(), lora("q_proj"), lambda base, a, c: linear(base, a, c) | copied(base, a, [name]), torch.bfloat16,
                saving=dict(save_embedding_layers=True), other_base=(name,))


@case
def embeddings_of_another_base():
    """The copy is not what the base on disk holds, and takes its place."""
    name = "model.embed_tokens"
    return Case(llama(), lora("embed_tokens"), lambda base, a, c: embedding(base | {name + ".weight": a[name + ".base_layer.weight"]}, a, c),
                other_base=(name + ".weight",))


@case
def tokens_list():
    def oracle(base, a, c):
        w = base["model.embed_tokens.weight"].copy()
        w[[7, 2, 19]] = a["model.embed_tokens.token_adapter.trainable_tokens_delta"]
        return {"model.embed_tokens.weight": w} | linear(base, a, c)

    return Case(llama(), lora("q_proj", trainable_token_indices=[7, 2, 19]), oracle, torch.bfloat16)


@case
def tokens_dict():
    def oracle(base, a, c):
        w, head = base["model.embed_tokens.weight"].copy(), base["lm_head.weight"].copy()
        w[[3, 0]] = a["model.embed_tokens.token_adapter.trainable_tokens_delta"]
        head[[11]] = a["lm_head.token_adapter.trainable_tokens_delta"]
        return {"model.embed_tokens.weight": w, "lm_head.weight": head} | linear(base, a, c)

    return Case(llama(), lora("q_proj", trainable_token_indices={"embed_tokens": [3, 0], "lm_head": [11]}), oracle)


@case
def tokens_tied():
    def oracle(base, a, c):
        w = base["model.embed_tokens.weight"].copy()
        w[[5, 6]] = a["model.embed_tokens.token_adapter.trainable_tokens_delta"]
        return {"model.embed_tokens.weight": w} | linear(base, a, c)

    return Case(llama(tie_word_embeddings=True), lora("q_proj", trainable_token_indices=[5, 6]), oracle)


TWICE = "PEFT adds the change to the one tensor of embedding and head for each of the two"


@case
def tied_ensured():
    """The head's factors are the embedding's, transposed: each use has the change once."""
    name = "model.embed_tokens.weight"
    return Case(llama(tie_word_embeddings=True), lora("embed_tokens", ensure_weight_tying=True), embedding,
                saving=dict(save_embedding_layers=False), differs={name: (TWICE, 2)}, target=lambda target, tensor: name)


@case
def tied_ensured_saved():
    name = "model.embed_tokens.weight"
    return Case(llama(tie_word_embeddings=True), lora("embed_tokens", ensure_weight_tying=True), embedding,
                differs={name: (TWICE, 2)}, target=lambda target, tensor: name)


@case
def tied_parted():
    """PEFT's conversion of the factors to F32 unties them, so that embedding and head of a narrower base are trained apart."""
    return Case(llama(tie_word_embeddings=True), lora("embed_tokens", ensure_weight_tying=True), None, torch.bfloat16,
                saving=dict(save_embedding_layers=False), refused="AD_TIED")


@case
def tied_one_side():
    return Case(llama(tie_word_embeddings=True), lora("embed_tokens"), None, saving=dict(save_embedding_layers=False), refused="AD_TIED")


# Convolutions.

for _name, _layers in (("convolution-1d", lambda: (nn.Conv1d(5, 6, 3),)), ("convolution-2d", lambda: (nn.Conv2d(5, 6, (3, 2)),)),
                       ("convolution-3d", lambda: (nn.Conv3d(3, 4, (2, 3, 2)),)),
                       ("convolution-1x1", lambda: (nn.Conv1d(5, 6, 1), nn.Conv2d(5, 6, 1)))):
    CASES[_name] = lambda layers=_layers: Case(lambda: Convolutions(*layers()), lora(target_modules=r"conv\d"), convolution)


@case
def convolution_3d_1x1():
    return Case(lambda: Convolutions(nn.Conv3d(5, 6, 1)), lora("conv0"), convolution,
                peft_fails="PEFT takes the kernel for one of two dimensions and cannot multiply the factors")


# Parameters that are not a module's weight.

@case
def attention():
    def oracle(base, a, c):
        inner = "attention.base_layer.out_proj"
        return {"attention.in_proj_weight": base["attention.in_proj_weight"] + delta(a, "attention", scale(c)),
                "attention.out_proj.weight": base["attention.out_proj.weight"] + delta(a, inner, scale(c))}

    return Case(Attention, lora("attention"), oracle, differs={"attention.out_proj.weight": ("PEFT adds the change of out_proj twice", 2)},
                target=lambda target, name: "attention.out_proj.weight" if "out_proj" in name else "attention.in_proj_weight")


def _experts(names, target, model, dtype=torch.float32, flipped=False, **more):
    return Case(model, lora(r=2, target_modules=more.pop("modules", []), target_parameters=sorted(names.values()), **more),
                lambda base, a, c: experts(base, a, c, names, flipped), dtype, target=target)


BOTH = {"mlp.experts.base_layer": "mlp.experts.gate_up_proj", "mlp.experts": "mlp.experts.down_proj"}


def _nested(target, name):
    return name.split("mlp.experts")[0].removeprefix("base_model.model.") + BOTH["mlp.experts.base_layer" if "base_layer" in name else "mlp.experts"]


@case
def experts_one():
    return _experts({"mlp.experts": "mlp.experts.down_proj"}, lambda target, name: "mlp.experts.down_proj", Mixture)


@case
def experts_two():
    return _experts(BOTH, _nested, Mixture, torch.bfloat16)


@case
def experts_patterns():
    """Ranks and alphas are looked up by the parameter's path."""
    def oracle(base, a, c):
        up = experts(base, a, c | {"r": 3}, {"mlp.experts.base_layer": "mlp.experts.gate_up_proj"})
        return up | experts(base, a, c | {"lora_alpha": 5}, {"mlp.experts": "mlp.experts.down_proj"})

    return Case(Mixture, lora(r=2, target_modules=[], target_parameters=sorted(BOTH.values()), rank_pattern={"experts.gate_up_proj": 3},
                              alpha_pattern={r"mlp\.experts\.down_.*": 5}), oracle, torch.bfloat16, target=_nested)


@case
def experts_transposed():
    """GPT-OSS: a parameter holds in x out of each expert. down_proj is square, as in the published models."""
    model = lambda: transformers.GptOssForCausalLM(transformers.GptOssConfig(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, num_local_experts=3,
        head_dim=4, num_experts_per_tok=2, layer_types=["full_attention"], max_position_embeddings=16))
    names = {"model.layers.0." + path: "model.layers.0." + name for path, name in BOTH.items()}
    return _experts(names, _nested, model, torch.bfloat16, flipped=True)


def _unfused(model, expert, parts):
    """transformers 5 joins the experts of a checkpoint into two parameters, which the adapter is of, and saves them apart again."""
    prefix, (gate, up, down) = "model.layers.0.", parts
    names = {prefix + path: prefix + name for path, name in BOTH.items()}

    def oracle(base, a, c):
        w1, w3, w2 = (np.stack([base[expert % (e, part)] for e in range(3)]) for part in parts)
        ups, downs = experts({names[prefix + "mlp.experts.base_layer"]: np.concatenate([w1, w3], axis=1), names[prefix + "mlp.experts"]: w2},
                             a, c, names).values()
        merged = {gate: ups[:, :7], up: ups[:, 7:], down: downs}
        return {expert % (e, part): merged[part][e] for e in range(3) for part in parts}

    return Case(model, lora(r=2, target_modules=[], target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]), oracle, torch.bfloat16,
                target=lambda target, name: "")


MOE = dict(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, num_experts_per_tok=2,
           max_position_embeddings=16)


@case
def experts_unfused():
    return _unfused(lambda: transformers.MixtralForCausalLM(transformers.MixtralConfig(**MOE, intermediate_size=7, num_local_experts=3)),
                    "model.layers.0.block_sparse_moe.experts.%d.%s.weight", ("w1", "w3", "w2"))


@case
def experts_unfused_qwen():
    return _unfused(lambda: transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(**MOE, moe_intermediate_size=7, num_experts=3, head_dim=4)),
                    "model.layers.0.mlp.experts.%d.%s.weight", ("gate_proj", "up_proj", "down_proj"))


@case
def matrix_parameter():
    """A parameter of two dimensions, named as a parameter."""
    return Case(llama(), lora(target_modules=[], target_parameters=["self_attn.q_proj.weight"]), linear, torch.bfloat16)
