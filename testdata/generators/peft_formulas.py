"""What the rows of peft_rows.py are made of: the description of a row, the formulas of the merges in numpy's F64, and the models.

The formulas read nothing of PEFT: base holds the base's tensors by name, a the adapter's without "base_model.model.", c the configuration.
"""

import dataclasses
import math
from typing import Any, Callable

import numpy as np
import peft
import torch
import transformers
from torch import nn

CASES = {}


@dataclasses.dataclass
class Case:
    model: Callable[[], nn.Module]
    config: Callable[[], peft.LoraConfig]
    oracle: Callable[[dict, dict, dict], dict] | None
    dtype: torch.dtype = torch.float32
    autocast: bool = True  # PEFT's default keeps the factors of a narrower base in F32
    saving: dict = dataclasses.field(default_factory=dict)  # for save_pretrained
    raw: bool = False  # saved as torch saves a state, with the adapter's name in the keys and the base's copies of whole modules
    mutated: bool = False  # the initialisation changes the base, and training starts from its factors
    converted: bool = False  # saved as an adapter of the base before that
    roundings: float = 0  # of PEFT's to the base's type, besides the last, in units
    other_base: tuple = ()  # tensors of the base on disk that are not those of the training
    differs: dict = dataclasses.field(default_factory=dict)  # tensor: (why PEFT's merge is another, how many times it adds the change)
    refused: str = ""  # the code with which Tenon refuses it
    peft_fails: str = ""  # why PEFT cannot merge it
    rename: Callable[[dict, bool], dict] = lambda tensors, merged: tensors
    target: Callable[[str, str], Any] = lambda target, name: target


def case(f):
    CASES[f.__name__.replace("_", "-")] = f
    return f


def lora(*modules, **more):
    options = dict(r=4, lora_alpha=6, task_type="FEATURE_EXTRACTION") | more
    options.setdefault("target_modules", list(modules))
    return lambda: peft.LoraConfig(**options)


def scale(c, r=None, alpha=None):
    r, alpha = r or c["r"], alpha or c["lora_alpha"]
    return alpha / math.sqrt(r) if c["use_rslora"] else alpha / r


def delta(a, module, s):
    """s·B·A, out x in."""
    return s * (a[module + ".lora_B.weight"] @ a[module + ".lora_A.weight"])


def modules(a, suffix=".lora_A.weight"):
    return sorted(k.removesuffix(suffix) for k in a if k.endswith(suffix))


def linear(base, a, c):
    """W + s·B·A."""
    return {m + ".weight": base[m + ".weight"] + delta(a, m, scale(c)) for m in modules(a)}


def transposed(base, a, c):
    """W + s·(B·A)ᵀ, for W of in x out."""
    return {m + ".weight": base[m + ".weight"] + delta(a, m, scale(c)).T for m in modules(a)}


def embedding(base, a, c, m="model.embed_tokens"):
    """W + s·(B·A)ᵀ, A of r x n, B of d x r."""
    return {m + ".weight": base[m + ".weight"] + scale(c) * (a[m + ".lora_embedding_B"] @ a[m + ".lora_embedding_A"]).T}


def convolution(base, a, c):
    """W + s·reshape(B·A), A as r x (in·kernel)."""
    merged = {}
    for m in modules(a):
        first, second = a[m + ".lora_A.weight"], a[m + ".lora_B.weight"]
        w = base[m + ".weight"]
        merged[m + ".weight"] = w + scale(c) * (second.reshape(second.shape[0], -1) @ first.reshape(first.shape[0], -1)).reshape(w.shape)
    return merged


def magnitudes(base, a, c, changed, suffix=".lora_A.weight", outputs=0):
    """DoRA: each output of V is brought to its magnitude. outputs is the dimension that counts them."""
    merged = {}
    for m in modules(a, suffix):
        v = changed(base, a, c)[m + ".weight"]
        others = tuple(d for d in range(v.ndim) if d != outputs)
        length = np.sqrt((v * v).sum(axis=others, keepdims=True))
        merged[m + ".weight"] = a[m + ".lora_magnitude_vector"].reshape(length.shape) / length * v
    return merged


def experts(base, a, c, names, flipped=False):
    """W[e] + s·B_e·A_e, where expert e has the rows e·r … of A and the columns e, e+E, … of B; names: parameter by path in the adapter."""
    merged = {}
    for path, name in names.items():
        w, first, second = base[name], a[path + ".lora_A.weight"], a[path + ".lora_B.weight"]
        count, r = w.shape[0], c["r"]
        change = np.stack([second[:, e::count] @ first[e * r : (e + 1) * r] for e in range(count)])
        merged[name] = w + scale(c) * (change.transpose(0, 2, 1) if flipped else change)
    return merged


def copied(base, a, names):
    return {name: a[name] for name in names}


# The models.

def llama(cls=transformers.LlamaForCausalLM, **more):
    settings = dict(vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
                    max_position_embeddings=16)
    return lambda: cls(transformers.LlamaConfig(**settings | more))


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=20, n_embd=8, n_head=2, n_layer=1, n_positions=8))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 12), nn.Linear(12, 8, bias=False)


class Convolutions(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        for i, layer in enumerate(layers):
            setattr(self, f"conv{i}", layer)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)


class Experts(nn.Module):
    """Three experts in two parameters, in the order gate_up_proj, down_proj."""

    def __init__(self, gate_up, down, is_transposed):
        super().__init__()
        self.gate_up_proj, self.down_proj = nn.Parameter(torch.zeros(3, *gate_up)), nn.Parameter(torch.zeros(3, *down))
        if is_transposed:
            self.is_transposed = True


class Mixture(nn.Module):
    def __init__(self, gate_up=(10, 8), down=(8, 5), is_transposed=False):
        super().__init__()
        self.mlp = nn.Module()
        self.mlp.experts = Experts(gate_up, down, is_transposed)
