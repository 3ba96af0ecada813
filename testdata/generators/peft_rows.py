"""Writes host/adapter/testdata/peft: one tiny base and adapter for each row of PEFT's merge table, as PEFT itself saves them.

    python3 testdata/generators/peft_rows.py host/adapter/testdata/peft [row …]

It needs numpy, ml_dtypes, torch, transformers, peft and safetensors; generator.json beside the rows says which versions wrote them. The rows
themselves are in peft_variants.py and peft_special.py, their formulas in peft_formulas.py. A row holds

    base/                config.json and model.safetensors: transformers' save_pretrained, or a torch module's state
    adapter/             what PEFT's save_pretrained writes, lists that are sets in PEFT sorted
    oracle.safetensors   every tensor that the adapter changes or adds, in F64: the formula in numpy on the two files' values
    merged.safetensors   the same tensors after PEFT's from_pretrained and merge_and_unload
    expect.json          where each tensor of the adapter goes, and how far PEFT's result is from the oracle's rounding; of what is refused, the code

The values of bases have magnitudes of 0.75 to 1.5 and the changes are small beside them, so that one unit in the last place of a merged value
is more than the product's own rounding in F32 amounts to. PEFT's result is compared here, with the bound of its roundings: that of the product
in F32, that of the change to the factors' type, and that of the sum to the base's type.
"""

import json
import pathlib
import shutil
import sys
import tempfile
import warnings

import ml_dtypes
import numpy as np
import peft
import safetensors
import safetensors.torch
import torch
import transformers

import peft_special  # noqa: F401, its rows
import peft_variants  # noqa: F401, its rows
from peft_formulas import CASES

PREFIX = "base_model.model."
MANTISSA = {torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}
SMALLEST = {torch.float32: -149, torch.float16: -24, torch.bfloat16: -133}
NUMPY = {torch.float32: np.float32, torch.float16: np.float16, torch.bfloat16: ml_dtypes.bfloat16}


def fill(model, rng, dtype):
    """Gives every parameter and buffer of the base its values."""
    for _, p in sorted(model.named_parameters()):
        values = rng.uniform(0.75, 1.5, tuple(p.shape)) * rng.choice([-1.0, 1.0], tuple(p.shape))
        p.data = torch.from_numpy(values).to(dtype)


def train(model, rng, case):
    """Stands for the training: moves everything that PEFT left trainable."""
    for name, p in sorted(model.named_parameters()):
        if not p.requires_grad:
            continue
        noise = torch.from_numpy(rng.uniform(-1, 1, tuple(p.shape)))
        if "lora_magnitude_vector" in name:
            values = p.data.double() * (1 + 0.2 * noise)
        elif case.mutated and "lora_" in name:
            values = p.data.double() + 0.02 * noise
        elif "lora_" in name:
            values = 0.25 * noise
        else:
            values = 1.25 * noise
        p.data.copy_(values)  # in place: tied factors stay tied


def state(model, case, merged):
    """The tensors of a model by the names of its checkpoint on disk."""
    if hasattr(model, "save_pretrained") and isinstance(model, transformers.PreTrainedModel):
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            tensors = safetensors.torch.load_file(pathlib.Path(folder) / "model.safetensors")
    else:
        tensors = {name: t.detach().clone().contiguous() for name, t in model.state_dict().items()}
    return case.rename(tensors, merged)


def built(case, seed):
    model = case.model()
    fill(model, np.random.default_rng(seed), case.dtype)
    if hasattr(model, "tie_weights"):
        model.tie_weights()
    return model.eval()


def save_base(model, case, folder, rng):
    folder.mkdir(parents=True)
    if isinstance(model, transformers.PreTrainedModel):
        model.config.save_pretrained(folder)
    else:
        (folder / "config.json").write_text(json.dumps({"model_type": "fixture", "architectures": [type(model).__name__]}, indent=2) + "\n")
    tensors = state(model, case, merged=False)
    for name in case.other_base:
        noise = torch.from_numpy(rng.uniform(0.75, 1.5, tuple(tensors[name].shape)))
        tensors[name] = noise.to(tensors[name].dtype)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def save_adapter(model, case, folder, rng):
    adapted = peft.get_peft_model(model, case.config(), autocast_adapter_dtype=case.autocast)
    saving = dict(case.saving)
    with tempfile.TemporaryDirectory() as initial:
        if case.converted:
            saving["path_initial_model_for_weight_conversion"] = initial + "/initial"
            adapted.peft_config["default"].init_lora_weights = True
            adapted.save_pretrained(saving["path_initial_model_for_weight_conversion"])
            adapted.peft_config["default"].init_lora_weights = case.config().init_lora_weights
        train(adapted, rng, case)
        adapted.save_pretrained(folder, **saving)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = ""
    for name, value in config.items():
        if name in ("target_modules", "target_parameters", "exclude_modules", "modules_to_save") and isinstance(value, list):
            config[name] = sorted(value)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return adapted


def save_raw(adapted, folder):
    """What torch saves of an adapted model, with the adapter's name in the keys and the base's copies of whole modules."""
    kept = {k: v.clone() for k, v in adapted.state_dict().items() if "lora_" in k or "modules_to_save" in k or "original_module" in k}
    safetensors.torch.save_file(kept, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def merged_by_peft(case, folder, seed):
    """PEFT's own merge, from what was saved; nothing where the row says that it fails."""
    try:
        adapted = peft.PeftModel.from_pretrained(built(case, seed), folder / "adapter", autocast_adapter_dtype=case.autocast)
        merged = state(adapted.merge_and_unload(), case, merged=True)
    except RuntimeError as e:
        if not case.peft_fails:
            raise
        print(folder.name, "PEFT:", str(e).splitlines()[0])
        return {}
    assert not case.peft_fails, (folder.name, "PEFT merges what it could not")
    return merged


def unit(values, dtype):
    """One unit in the last place at each value, in a type."""
    with np.errstate(divide="ignore"):
        exponents = np.floor(np.log2(np.abs(values)))
    return np.exp2(np.maximum(exponents - MANTISSA[dtype] + 1, SMALLEST[dtype]))


def ordered(values, dtype):
    """Values of a type as integers, adjacent ones one apart."""
    bits = np.ascontiguousarray(values).view(np.int32 if dtype == torch.float32 else np.int16).astype(np.int64)
    return np.where(bits < 0, -(bits & (2**31 - 1 if dtype == torch.float32 else 2**15 - 1)), bits)


def numbers(tensor):
    return tensor.double().numpy()


def compare(name, case, base, merged, oracle, factors):
    """How many units PEFT's merged tensor is from the oracle's rounding; fails where its roundings do not explain the difference."""
    dtype = merged.dtype
    got, want = numbers(merged), oracle
    before = numbers(base) if base is not None and base.shape == merged.shape else want
    rough = unit(want, dtype) * (0.5 + case.roundings) + 64 * 2.0**-24 * np.maximum(np.abs(want), np.abs(before))
    rough += 0.5 * unit(want - before, min(factors, dtype, key=MANTISSA.get))  # embeddings and parameters: the change in the base's type
    if name in case.differs:
        reason, factor = case.differs[name]
        want = before + factor * (want - before)
        assert (np.abs(got - want) <= 3 * rough).all(), (name, reason)
        return {"differs": reason}
    assert (np.abs(got - want) <= rough).all(), (name, np.abs((got - want) / rough).max())
    rounded = want.astype(NUMPY[dtype])
    stored = merged.contiguous().view(torch.int32 if dtype == torch.float32 else torch.int16).numpy().view(NUMPY[dtype])
    return {"ulps": int(np.abs(ordered(rounded, dtype) - ordered(stored, dtype)).max())}


def coverage(case, factors):
    """Where each tensor of the adapter goes: the base's tensor that its name says, unless the row says another."""
    told = {}
    for name in sorted(factors):
        target = name.removeprefix(PREFIX)
        for suffix in ("lora_A.weight", "lora_B.weight", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector", "base_layer.weight",
                       "token_adapter.trainable_tokens_delta"):
            if target.endswith("." + suffix):
                target = target.removesuffix(suffix) + "weight"
        for suffix in ("lora_B.bias", "base_layer.bias"):
            if target.endswith("." + suffix):
                target = target.removesuffix(suffix) + "bias"
        told[name] = case.target(target, name)
    return told


def make(name, folder, seed):
    case = CASES[name]()
    rng = np.random.default_rng(seed + 1)
    shutil.rmtree(folder, ignore_errors=True)
    model = built(case, seed)
    save_base(model, case, folder / "base", rng)
    adapted = save_adapter(model, case, folder / "adapter", rng)
    if case.refused:
        (folder / "expect.json").write_text(json.dumps({"refused": case.refused}) + "\n")
        return print(name, case.refused)
    merged = merged_by_peft(case, folder, seed)
    if case.raw:
        save_raw(adapted, folder / "adapter")
    base = safetensors.torch.load_file(folder / "base" / "model.safetensors")
    factors = safetensors.torch.load_file(folder / "adapter" / "adapter_model.safetensors")
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    oracle = case.oracle({k: numbers(v) for k, v in base.items()}, {k.removeprefix(PREFIX): numbers(v) for k, v in factors.items()}, config)
    expect = {"tensors": {}, "coverage": coverage(case, factors), "new": sorted(set(oracle) - set(base))}
    for tensor in sorted(merged):
        if tensor not in oracle and tensor not in case.other_base:
            assert torch.equal(merged[tensor], base[tensor]), (name, tensor, "changed")
    types = {v.dtype for k, v in factors.items() if "lora_" in k} or {torch.float32}
    for tensor in sorted(oracle):
        if case.peft_fails:
            expect["tensors"][tensor] = {"differs": case.peft_fails}
        else:
            expect["tensors"][tensor] = compare(tensor, case, base.get(tensor), merged[tensor], oracle[tensor], min(types, key=MANTISSA.get))
    kept = {k: merged[k].contiguous() for k in sorted(oracle) if k in merged}
    if kept:
        safetensors.torch.save_file(kept, folder / "merged.safetensors", metadata={"format": "pt"})
    safetensors.torch.save_file({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in sorted(oracle.items())}, folder / "oracle.safetensors")
    (folder / "expect.json").write_text(json.dumps(expect, indent=1) + "\n")
    print(name, {k: v.get("ulps", "-") for k, v in expect["tensors"].items()})


def main(out, *names):
    out = pathlib.Path(out)
    for name in names or CASES:
        make(name, out / name, seed=1)
    for file in out.rglob("*.safetensors"):
        file.chmod(0o644)
    versions = {m.__name__: m.__version__ for m in (torch, transformers, peft, safetensors, np)}
    told = {"generator": "testdata/generators/peft_rows.py", "seed": 1, "versions": versions}
    (out / "generator.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    main(*sys.argv[1:])
