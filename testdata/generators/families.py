"""Makes testdata/families: a tiny model of each family that Tenon serves, saved by transformers, and what transformers computes with it.

    pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0
    python testdata/generators/families.py testdata/families [name ...]

Weights are random, of a scale at which every part of the model matters. Each folder holds

    config.json, model.safetensors   as save_pretrained writes them
    golden.json                      what follows two prompts, computed in f32 with the eager attention of transformers
    adapter/                         where the family has one: a LoRA adapter as PEFT saves it, on every linear layer

golden.json gives for the base, for the base with the adapter merged in, rounded to the dtype of the weights, and for the base with the adapter
beside it, as PEFT computes it ("base", "merged" and "unmerged"):

    prompt      token ids
    logits      of the prompt's last token, the whole vocabulary
    nll         of the prompt's tokens from the second on, each given those before it, in nats
    ids         48 tokens, each the likeliest; the likeliest is ahead of the next by at least MARGIN
    logprobs    of those tokens

and for each merged tensor the SHA-256 of its bytes by the rule of backend.proto. "config" is the configuration that a backend is given, told by
transformers' own objects: a ModelConfig of backend.proto as JSON. "seed" and "versions" say how it all was made.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import peft
import safetensors
import safetensors.torch
import torch
import transformers

MARGIN = 2e-3
NEW_TOKENS = 48
VOCABULARY = 96

COMMON = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=44, num_attention_heads=4, num_key_value_heads=2,
              bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5)
GPT2 = dict(vocab_size=VOCABULARY, n_embd=32, n_head=4, n_layer=2, n_positions=128, bos_token_id=1, eos_token_id=2)
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CONV1D = ["c_attn", "c_proj", "c_fc"]

# name: (configuration, dtype, adapted modules, lengths of the prompts)
MODELS = {
    # Grouped heads, a head of its own, every bias that the family can have.
    "llama": (transformers.LlamaConfig(
        **COMMON, num_hidden_layers=2, max_position_embeddings=128, attention_bias=True, mlp_bias=True), "bfloat16", LINEARS, (5, 20)),
    # Positions far beyond those of the training before; the angles of heads of 16 lie on both sides of llama3's bounds and between them.
    "llama3": (transformers.LlamaConfig(
        **COMMON, num_hidden_layers=2, max_position_embeddings=512, tie_word_embeddings=True, head_dim=16,
        rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=64)), "float32", None, (9, 180)),
    "llama-linear": (transformers.LlamaConfig(
        **COMMON, num_hidden_layers=2, max_position_embeddings=256,
        rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=2.5)), "float16", None, (7, 100)),
    # The window is shorter than the prompts, and no divisor of anything.
    "mistral": (transformers.MistralConfig(
        **COMMON, num_hidden_layers=2, max_position_embeddings=256, sliding_window=13), "bfloat16", LINEARS, (14, 90)),
    # The upper two of three layers have a window.
    "qwen2": (transformers.Qwen2Config(
        **COMMON, num_hidden_layers=3, max_position_embeddings=256, use_sliding_window=True, sliding_window=11, max_window_layers=1),
        "float32", LINEARS, (6, 75)),
    "qwen2-tied": (transformers.Qwen2Config(
        **COMMON, num_hidden_layers=2, max_position_embeddings=128, tie_word_embeddings=True), "bfloat16", None, (6, 40)),
    # Heads wider than hidden_size / num_attention_heads.
    "qwen3": (transformers.Qwen3Config(
        **COMMON, num_hidden_layers=2, max_position_embeddings=128, head_dim=12, tie_word_embeddings=True), "bfloat16", LINEARS, (6, 40)),
    # The layers' types are listed; biases in the attention.
    "qwen3-window": (transformers.Qwen3Config(
        **COMMON, num_hidden_layers=3, max_position_embeddings=256, head_dim=8, attention_bias=True, use_sliding_window=True,
        sliding_window=17, layer_types=["sliding_attention", "full_attention", "sliding_attention"]), "float32", None, (18, 80)),
    "gpt2": (transformers.GPT2Config(**GPT2), "float32", CONV1D, (5, 60)),
    # Names without "transformer." and buffers among the tensors, as in the first GPT-2 checkpoints; another width inside.
    "gpt2-bare": (transformers.GPT2Config(**GPT2, n_inner=72), "bfloat16", CONV1D, (5, 60)),
}


def randomize(model, rng):
    """Gives every parameter random values: matrices keep lengths about as they are, norms are near 1, biases matter."""
    for name, p in sorted(model.named_parameters()):
        values = torch.from_numpy(rng.standard_normal(tuple(p.shape)))
        if "norm" in name or ".ln_" in name:
            values = 0.2 * values + (0 if name.endswith("bias") else 1)
        elif name.endswith("bias"):
            values = 0.4 * values
        elif "wpe" in name or "embed_tokens" in name or "wte" in name:
            values = 0.7 * values
        else:  # Conv1D keeps its matrices in x out
            inputs = p.shape[0] if ".c_" in name else p.shape[1]
            values = 1.4 * values / np.sqrt(inputs)
        p.data = values.to(p.dtype)


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]), use_cache=False).logits[0]


def continuation(model, prompt):
    """What the model makes of a prompt, or None where two tokens are too close to call."""
    ids, logprobs = list(prompt), []
    first = logits_of(model, ids)
    nll = torch.nn.functional.cross_entropy(first[:-1].double(), torch.tensor(ids[1:]), reduction="none")
    for _ in range(NEW_TOKENS):
        last = logits_of(model, ids)[-1].double()
        best = torch.topk(last, 2)
        if best.values[0] - best.values[1] < MARGIN:
            return None
        ids.append(int(best.indices[0]))
        logprobs.append(float(torch.log_softmax(last, 0)[ids[-1]]))
    return {"prompt": [int(i) for i in prompt], "logits": [float(x) for x in first[-1]], "nll": [float(x) for x in nll],
            "ids": ids[len(prompt):], "logprobs": logprobs}


def texts(model, prompts):
    answers = [continuation(model, p) for p in prompts]
    return None if None in answers else answers


def delta(a, b, scale):
    """sum over k of fma(f32(scale) * B[i,k], A[k,j]) in f32. A product of two f32 is exact in f64."""
    scaled = (np.float32(scale) * b).astype(np.float32)
    total = np.zeros((b.shape[0], a.shape[1]), np.float32)
    for k in range(a.shape[0]):
        product = scaled[:, k : k + 1].astype(np.float64) * a[k : k + 1, :].astype(np.float64)
        total = (product + total.astype(np.float64)).astype(np.float32)
    return total


def merge(model, folder):
    """Merges the adapter into the model by Tenon's rule and returns the digests of the merged tensors, by parameter."""
    config = json.loads((folder / "adapter_config.json").read_text())
    factors = safetensors.torch.load_file(folder / "adapter_model.safetensors")
    parameters, digests = dict(model.named_parameters()), {}
    for key in sorted(k for k in factors if k.endswith(".lora_A.weight")):
        module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        a, b = (factors[key.replace("lora_A", f)].float().numpy() for f in ("lora_A", "lora_B"))
        change = delta(a, b, config["lora_alpha"] / config["r"])
        weight = parameters[module + ".weight"]
        if config["fan_in_fan_out"]:
            change = change.T
        weight.data = torch.from_numpy(weight.data.float().numpy() + change).to(weight.dtype)
        stored = weight.data.contiguous().view(torch.uint8).numpy().tobytes()
        digests[module + ".weight"] = hashlib.sha256(stored).hexdigest()
    return digests


def save_adapter(model, modules, folder, rng):
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=modules, fan_in_fan_out=modules is CONV1D, task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(model, config)
    for name, p in sorted(adapted.named_parameters()):
        if "lora_" in name:
            p.data = torch.from_numpy(0.25 * rng.standard_normal(tuple(p.shape))).float()
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = ""
    config["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto", attn_implementation="eager").eval()


def backend_config(model):
    """ModelConfig of backend.proto, from the modules that transformers built."""
    c = model.config
    parameters = {name.removeprefix("transformer.").removeprefix("model.") for name, _ in model.named_parameters()}
    told = dict(architecture=c.model_type, hidden_size=c.hidden_size, layers=c.num_hidden_layers, heads=c.num_attention_heads,
                vocab_size=c.vocab_size, max_positions=c.max_position_embeddings, tie_word_embeddings=c.tie_word_embeddings)
    if c.model_type == "gpt2":
        block = model.transformer.h[0]
        return told | dict(intermediate_size=block.mlp.c_fc.nf, kv_heads=c.n_head, head_dim=block.attn.head_dim, rms_norm_eps=block.ln_1.eps,
                           attention_bias=True, output_bias=True, mlp_bias=True, activation=c.activation_function)
    block, rope = model.model.layers[0], c.rope_parameters
    told |= dict(intermediate_size=block.mlp.gate_proj.out_features, kv_heads=c.num_key_value_heads, head_dim=block.self_attn.head_dim,
                 rms_norm_eps=block.input_layernorm.variance_epsilon, rope_theta=rope["rope_theta"], activation=c.hidden_act,
                 attention_bias="layers.0.self_attn.q_proj.bias" in parameters, output_bias="layers.0.self_attn.o_proj.bias" in parameters,
                 mlp_bias="layers.0.mlp.up_proj.bias" in parameters)
    window = getattr(c, "sliding_window", None)
    if window is not None:
        types = getattr(c, "layer_types", None) or ["sliding_attention"] * c.num_hidden_layers  # a mistral lists none
        told |= dict(sliding_window=window, sliding_layers=[i for i, kind in enumerate(types) if kind == "sliding_attention"])
    if rope["rope_type"] != "default":
        names = {"factor": "factor", "low_freq_factor": "low_freq_factor", "high_freq_factor": "high_freq_factor",
                 "original_max_position_embeddings": "original_max_positions"}
        told["rope_scaling"] = {"type": rope["rope_type"]} | {names[k]: v for k, v in rope.items() if k in names}
    return told


def bare(folder):
    """Takes the names' prefix away and adds the buffers that GPT-2 checkpoints once had."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    positions = GPT2["n_positions"]
    for i in range(GPT2["n_layer"]):
        tensors[f"h.{i}.attn.bias"] = torch.ones(positions, positions, dtype=torch.uint8).tril().view(1, 1, positions, positions)
        tensors[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def make(name, folder, seed):
    config, dtype, modules, lengths = MODELS[name]
    rng = np.random.default_rng(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    randomize(model, rng)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name == "gpt2-bare":
        bare(folder)
    prompts = [[1, *rng.integers(3, VOCABULARY, n - 1)] for n in lengths]
    golden = {"seed": seed, "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft, safetensors)}}
    golden["config"] = backend_config(load(folder))
    golden["base"] = texts(load(folder).float(), prompts)
    if golden["base"] is None:
        return False
    if modules:
        save_adapter(load(folder), modules, folder / "adapter", rng)
        merged = load(folder)
        golden["merged_sha256"] = merge(merged, folder / "adapter")
        golden["merged"] = texts(merged.float(), prompts)
        golden["unmerged"] = texts(peft.PeftModel.from_pretrained(load(folder).float(), folder / "adapter"), prompts)
        if golden["merged"] is None or golden["unmerged"] is None:
            return False
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)
    return True


def main(out, *names):
    for name in names or MODELS:
        seed = 1
        while not make(name, pathlib.Path(out) / name, seed):
            seed += 1
        print(name, "seed", seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
