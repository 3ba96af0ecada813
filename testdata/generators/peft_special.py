"""The rows of peft_rows.py that are more than a pair of factors: biases, magnitudes, whole modules, bases that the training changed; and those
that are refused."""

import numpy as np
import peft
import torch
import transformers
from torch import nn

from peft_formulas import (CASES, Case, Convolutions, Plain, case, convolution, copied, delta, embedding, gpt2, linear, llama, lora, magnitudes,
                           modules, scale, transposed)

# Biases.

@case
def lora_bias():
    class Biased(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.conv = nn.Linear(8, 12), nn.Conv2d(3, 5, 2)

    def oracle(base, a, c):
        biases = {m + ".bias": base[m + ".bias"] + scale(c) * a[m + ".lora_B.bias"] for m in ("linear", "conv")}
        return convolution(base, a, c) | biases

    return Case(Biased, lora("linear", "conv", lora_bias=True), oracle, torch.bfloat16)


@case
def lora_bias_fan_in_fan_out():
    name = "transformer.h.0.attn.c_attn"
    return Case(gpt2, lora("c_attn", lora_bias=True, fan_in_fan_out=True),
                lambda base, a, c: transposed(base, a, c) | {name + ".bias": base[name + ".bias"] + scale(c) * a[name + ".lora_B.bias"]})


def _biases(base, a, c):
    kept = {k.replace(".base_layer", ""): v for k, v in a.items() if k.endswith(".bias")}
    return transposed(base, a, c) | kept


@case
def bias_all():
    return Case(gpt2, lora("c_attn", bias="all", fan_in_fan_out=True), _biases)


@case
def bias_lora_only():
    return Case(gpt2, lora("c_attn", "c_fc", bias="lora_only", fan_in_fan_out=True), _biases, torch.bfloat16)


# DoRA.

@case
def dora_linear():
    return Case(Plain, lora("first", "second", use_dora=True), lambda *x: magnitudes(*x, linear), torch.bfloat16)


@case
def dora_linear_f32():
    return Case(Plain, lora("first", "second", use_dora=True), lambda *x: magnitudes(*x, linear))


@case
def dora_fan_in_fan_out():
    return Case(gpt2, lora("c_attn", "c_proj", use_dora=True, fan_in_fan_out=True), lambda *x: magnitudes(*x, transposed, outputs=1), torch.float16)


@case
def dora_embedding():
    return Case(llama(), lora("embed_tokens", use_dora=True),
                lambda *x: magnitudes(*x, embedding, ".lora_embedding_A", outputs=1), torch.bfloat16, saving=dict(save_embedding_layers=False))


@case
def dora_convolution():
    return Case(lambda: Convolutions(nn.Conv1d(5, 6, 3), nn.Conv2d(5, 6, (3, 2)), nn.Conv3d(3, 4, 2)), lora(target_modules=r"conv\d", use_dora=True),
                lambda *x: magnitudes(*x, convolution), torch.bfloat16)


# Whole modules.

@case
def module_replaced():
    return Case(llama(), lora("q_proj", modules_to_save=["lm_head"]), lambda base, a, c: linear(base, a, c) | copied(base, a, ["lm_head.weight"]),
                torch.bfloat16)


@case
def module_new():
    """A classifier's head is not in the base."""
    def headless(tensors, merged):
        return {k: v for k, v in tensors.items() if merged or not k.startswith("score.")}

    return Case(llama(transformers.LlamaForSequenceClassification, num_labels=3), lora("q_proj", task_type="SEQ_CLS"),
                lambda base, a, c: linear(base, a, c) | copied(base, a, ["score.weight"]), torch.bfloat16, rename=headless)


@case
def module_raw():
    """Not saved by PEFT but by torch."""
    def oracle(base, a, c):
        plain = {k.replace(".default.", "."): v for k, v in a.items()}
        return linear(base, plain, c) | {"lm_head.weight": a["lm_head.modules_to_save.default.weight"]}

    names = {"lora_A.default": "", "lora_B.default": "", "modules_to_save.default": "", "original_module": ""}
    def target(_, tensor):
        for infix in names:
            tensor = tensor.replace("." + infix, "")
        return tensor.removeprefix("base_model.model.")

    return Case(llama(), lora("q_proj", modules_to_save=["lm_head"]), oracle, torch.bfloat16, raw=True, target=target)


@case
def module_tied():
    """Embedding and head are one tensor in the base and in the training, and saved as two that are equal."""
    return Case(llama(tie_word_embeddings=True), lora("q_proj", modules_to_save=["embed_tokens"], ensure_weight_tying=True),
                lambda base, a, c: linear(base, a, c) | copied(base, a, ["model.embed_tokens.weight"]),
                target=lambda target, name: target.replace("lm_head", "model.embed_tokens"))


@case
def module_tied_one_side():
    return Case(llama(tie_word_embeddings=True), lora("q_proj", modules_to_save=["lm_head"]), None, refused="AD_TIED")


@case
def module_tied_parted():
    """PEFT trains two copies of the one tensor."""
    return Case(llama(tie_word_embeddings=True), lora("q_proj", modules_to_save=["embed_tokens", "lm_head"]), None, refused="AD_TIED")


# Initialisations that change the base.

def _pissa(base, a, c, flip=False):
    """W − U_r·S_r·V_rᵀ + s·B·A."""
    merged = {}
    for m in modules(a):
        w = base[m + ".weight"].T if flip else base[m + ".weight"]
        u, s, v = np.linalg.svd(w, full_matrices=False)
        w = w - (u[:, : c["r"]] * s[: c["r"]]) @ v[: c["r"]] + delta(a, m, scale(c))
        merged[m + ".weight"] = w.T if flip else w
    return merged


@case
def pissa():
    return Case(Plain, lora("first", "second", init_lora_weights="pissa"), _pissa, torch.bfloat16, mutated=True, roundings=4)


@case
def pissa_fan_in_fan_out():
    return Case(gpt2, lora("c_attn", init_lora_weights="pissa", fan_in_fan_out=True), lambda *x: _pissa(*x, flip=True), torch.float16,
                mutated=True, roundings=4)


@case
def olora():
    def oracle(base, a, c):
        merged = {}
        for m in modules(a):
            q, r = np.linalg.qr(base[m + ".weight"])
            merged[m + ".weight"] = base[m + ".weight"] - scale(c) * q[:, : c["r"]] @ r[: c["r"]] + delta(a, m, scale(c))
        return merged

    return Case(Plain, lora("first", "second", init_lora_weights="olora"), oracle, torch.bfloat16, mutated=True, roundings=4)


@case
def pissa_converted():
    return Case(Plain, lora("first", "second", init_lora_weights="pissa"), linear, torch.bfloat16, mutated=True, converted=True)


@case
def minor_components():
    """MiCA leaves the base alone."""
    return Case(Plain, lora("first", "second", init_lora_weights="mica"), linear, torch.bfloat16)


# What is refused by name.

for _name, _config, _code in (
    ("refused-kasa", lora("first", "second", kasa_config=peft.KasaConfig()), "AD_UNSUPPORTED"),
    ("refused-bdlora",
     lora("first", "second", use_bdlora=peft.BdLoraConfig(target_modules_bd_a=["first"], target_modules_bd_b=["second"], nblocks=2)),
     "AD_UNSUPPORTED"),
    ("refused-alora", lora("first", "second", alora_invocation_tokens=[1, 2]), "AD_UNSUPPORTED"),
    ("refused-pissa-niter", lora("first", "second", init_lora_weights="pissa_niter_4"), "AD_UNSUPPORTED"),
    ("refused-loha", lambda: peft.LoHaConfig(r=4, target_modules=["first", "second"], task_type="FEATURE_EXTRACTION"), "AD_PEFT_TYPE"),
    ("refused-ia3", lambda: peft.IA3Config(target_modules=["first", "second"], feedforward_modules=["second"], task_type="FEATURE_EXTRACTION"),
     "AD_PEFT_TYPE"),
):
    CASES[_name] = lambda config=_config, code=_code: Case(Plain, config, None, refused=code)


@case
def refused_layers_replicated():
    return Case(llama(), lora("q_proj", layer_replication=[[0, 1], [0, 1]]), None, refused="AD_UNSUPPORTED")


@case
def refused_convolution_groups():
    return Case(lambda: Convolutions(nn.Conv2d(8, 12, 3, groups=4)), lora("conv0"), None, refused="AD_UNSUPPORTED")


@case
def refused_olora_fan_in_fan_out():
    """PEFT decomposes the stored matrix without transposing it, and gives factors of other shapes than it multiplies with."""
    return Case(gpt2, lora("c_attn", init_lora_weights="olora", fan_in_fan_out=True), None, refused="AD_SHAPE")


@case
def tied_head_alone():
    return Case(llama(tie_word_embeddings=True), lora("lm_head"), None, saving=dict(save_embedding_layers=False), refused="AD_TIED")
