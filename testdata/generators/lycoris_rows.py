"""Makes host/adapter/testdata/kohya: single-file adapters on a tiny model, and the weights that each must give.

    pip install torch==2.15.0 safetensors==0.8.0 numpy==2.4.6 lycoris-lora==4.1.3
    python testdata/generators/lycoris_rows.py host/adapter/testdata/kohya [row ...]

Each folder is a row:

    base/                  config.json and the weights of the model
    adapter.safetensors    as LyCORIS saves it, or made by hand where the row says so: in the naming of Kohya's scripts, of diffusers, or of
                           one of the aliases that readers of these files know
    oracle.safetensors     every weight that changes, in F64
    expect.json            which tool made it, the dispositions of the tensors, what the notes must say, and the forms of the targets

The oracle is computed here in numpy, in f64, from the bytes of adapter.safetensors and the formulas of the formats alone. Where LyCORIS made the
file, the model with LyCORIS' modules in it and the model with the oracle's weights must give the same output. That is LyCORIS' forward: its
get_merged_weight takes the scale of LoHa and LoKr twice in this version. The oracle of DoRA has no epsilon in the norm, where LyCORIS adds 1.2e-7.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import safetensors
import safetensors.numpy
import torch
from torch import nn

import lycoris
from lycoris.wrapper import LycorisNetwork

VERSIONS = {"lycoris-lora": "4.1.3", "torch": torch.__version__.split("+")[0], "safetensors": safetensors.__version__, "numpy": np.__version__}


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.to_q = nn.Linear(width, width)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])


class Block(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width)
        self.ff_in = nn.Linear(width, inner, bias=False)
        self.ff_out = nn.Linear(inner, width)

    def forward(self, x):
        x = x + self.attn1.to_out[0](torch.tanh(self.attn1.to_q(self.norm1(x))))
        return x + self.ff_out(torch.relu(self.ff_in(x)))


class Tiny(nn.Module):
    """A convolution, a norm over groups, a convolution of kernel 1, a block, and a convolution over one dimension."""

    def __init__(self):
        super().__init__()
        self.conv_in = nn.Conv2d(4, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.proj_in = nn.Conv2d(8, 12, 1)
        self.down_blocks = nn.ModuleList([Block(12, 20)])
        self.conv_out = nn.Conv1d(12, 6, 3, padding=1)

    def forward(self, x):
        x = self.proj_in(self.norm(self.conv_in(x)))
        x = self.down_blocks[0](x.flatten(2).transpose(1, 2))
        return self.conv_out(x.transpose(1, 2))


PATHS = [name for name, m in Tiny().named_modules() if hasattr(m, "weight")]


def seeded(seed):
    torch.manual_seed(seed)
    model = Tiny()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.3 + (1.0 if p.dim() == 1 else 0.0))
    return model


def f64(t):
    return t.detach().to(torch.float64).numpy()


# --- The formulas ------------------------------------------------------------------------------------------------------------------------


def flat(t):
    return t.reshape(t.shape[0], -1)


def tucker(core, first, second):
    """core r x s x kernel, first r x out, second s x in -> out x in x kernel."""
    return np.einsum("ij...,ip,jq->pq...", core, first, second)


def product(parts, first, second, core):
    if core in parts:
        return tucker(parts[core], flat(parts[first]), flat(parts[second]))
    return flat(parts[first]) @ flat(parts[second])


def delta(parts, shape):
    """The change of a weight from its parts, before the scale, and the rank that alpha is divided by: None where there is none."""
    if "lora_up" in parts:
        rank = parts["lora_down"].shape[0]
        if "lora_mid" in parts:
            return tucker(parts["lora_mid"], flat(parts["lora_up"]).T, flat(parts["lora_down"])).reshape(shape), rank
        return (flat(parts["lora_up"]) @ flat(parts["lora_down"])).reshape(shape), rank
    if "hada_w1_a" in parts:
        one = product(parts, "hada_w1_a", "hada_w1_b", "hada_t1").reshape(shape)
        two = product(parts, "hada_w2_a", "hada_w2_b", "hada_t2").reshape(shape)
        return one * two, parts["hada_w1_b"].shape[0]
    if "lokr_w1" in parts or "lokr_w1_a" in parts:
        rank = None
        if "lokr_w1" in parts:
            one = parts["lokr_w1"]
        else:
            one, rank = parts["lokr_w1_a"] @ parts["lokr_w1_b"], parts["lokr_w1_b"].shape[0]
        if "lokr_w2" in parts:
            two = parts["lokr_w2"]
        else:
            two, rank = product(parts, "lokr_w2_a", "lokr_w2_b", "lokr_t2"), parts["lokr_w2_b"].shape[0]
        two = flat(two)
        out = np.zeros((one.shape[0] * two.shape[0], one.shape[1] * two.shape[1]))
        for i in range(one.shape[0]):
            for j in range(one.shape[1]):
                out[i * two.shape[0] : (i + 1) * two.shape[0], j * two.shape[1] : (j + 1) * two.shape[1]] = one[i, j] * two
        return out.reshape(shape), rank
    for whole in ("diff", "w_norm"):
        if whole in parts:
            return parts[whole].reshape(shape), None
    return None, None


def changed(weight, parts, scale=None):
    """W' of one weight."""
    d, rank = delta(parts, weight.shape)
    if d is None:
        return None
    if scale is None:
        scale = float(parts["alpha"].reshape(())) / rank if rank and "alpha" in parts else 1.0
    v = weight + scale * d
    m = parts.get("dora_scale")
    if m is None:
        return v
    axes = tuple(i for i in range(v.ndim) if i != 0)
    if m.ndim > 1 and m.shape[0] == 1 and v.shape[0] != 1:
        axes = tuple(i for i in range(v.ndim) if i != 1)
        m = m.reshape([1, -1] + [1] * (v.ndim - 2))
    else:
        m = m.reshape([-1] + [1] * (v.ndim - 1))
    return m / np.sqrt((v * v).sum(axis=axes, keepdims=True)) * v


def oracle(base, modules, scales={}):
    """Every weight that changes. modules: path -> parts by the names of Kohya and LyCORIS."""
    out = {}
    for path, parts in modules.items():
        w = changed(base[path + ".weight"], parts, scales.get(path))
        if w is not None:
            out[path + ".weight"] = w
        for name in ("diff_b", "b_norm"):
            if name in parts:
                out[path + ".bias"] = base[path + ".bias"] + parts[name]
    return out


# --- Writing -----------------------------------------------------------------------------------------------------------------------------


def save(row, model, tensors, wanted, tool, metadata=None, diffusers=False, forms=None, notes=(), ignored=0, config=None, applied=None):
    folder = ROOT / row
    (folder / "base").mkdir(parents=True, exist_ok=True)
    name = "diffusion_pytorch_model.safetensors" if diffusers else "model.safetensors"
    state = {k: v.detach().contiguous() for k, v in model.state_dict().items()}
    safetensors.torch.save_file(state, folder / "base" / name, {"format": "pt"})
    config = config or ({"_class_name": "TinyModel", "_diffusers_version": "0.37.0"} if diffusers else {"model_type": "tiny_diffusion"})
    (folder / "base" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if tensors is not None:
        safetensors.torch.save_file({k: v.detach().contiguous() for k, v in tensors.items()}, folder / "adapter.safetensors", metadata)
    with safetensors.safe_open(folder / "adapter.safetensors", "pt") as f:
        count = len(list(f.keys()))
    safetensors.numpy.save_file({k: np.ascontiguousarray(v) for k, v in wanted.items()}, folder / "oracle.safetensors")
    expect = {"tool": tool, "applied": count - ignored, "ignored": ignored, "notes": list(notes)}
    if forms:
        expect["forms"] = forms
    (folder / "expect.json").write_text(json.dumps(expect, indent=2) + "\n")
    print(row, len(wanted), "weights")


def read_parts(path):
    """The tensors of a LyCORIS file by module: lycoris_<path>.<part>."""
    modules = {}
    flat_paths = {"lycoris_" + p.replace(".", "_"): p for p in PATHS}
    with safetensors.safe_open(path, "pt") as f:
        for key in f.keys():
            module, part = key.split(".", 1)
            modules.setdefault(flat_paths[module], {})[part.removesuffix(".weight")] = f64(f.get_tensor(key))
    return modules


def by_lycoris(row, seed, dtype=None, norms=False, metadata=None, forms=None, notes=(), ignored=0, **arguments):
    """A file that LyCORIS writes, checked against LyCORIS' own forward."""
    model = seeded(seed)
    base = {k: f64(v) for k, v in model.state_dict().items()}
    classes = ["Linear", "Conv1d", "Conv2d"] + (["GroupNorm", "LayerNorm"] if norms else [])
    LycorisNetwork.apply_preset({"target_module": classes, "target_name": [], "enable_conv": True})
    arguments = {"lora_dim": 2, "conv_lora_dim": 2, "alpha": 1, "conv_alpha": 1.5, "train_norm": norms, "warn_on_unmatched": False, **arguments}
    network = LycorisNetwork(model, **arguments)
    network.apply_to()
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.add_(torch.randn_like(p) * (0.05 if "dora" in name or "norm" in name or p.dim() == 1 else 0.4))
    folder = ROOT / row
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "adapter.safetensors"
    with torch.no_grad():
        x = torch.randn(1, 4, 5, 5)
        y = model(x)
        network.save_weights(str(path), dtype, metadata)
    modules = read_parts(path)
    wanted = oracle(base, modules)
    fresh = seeded(seed)
    state = fresh.state_dict()
    for name, w in wanted.items():
        state[name] = torch.from_numpy(w).to(torch.float32)
    fresh.load_state_dict(state)
    with torch.no_grad():
        off = (fresh(x) - y).abs().max().item() / y.abs().max().item()
    assert off < (5e-2 if dtype else 2e-5), (row, off)
    assert len(modules) == len(network.loras), row
    save(row, seeded(seed), None, wanted, "LyCORIS 4.1.3", forms=forms, notes=notes, ignored=ignored)


def random_parts(model, paths, rank, seed, kernel=True):
    torch.manual_seed(seed)
    parts = {}
    for path in paths:
        w = model.state_dict()[path + ".weight"]
        down = [rank, *w.shape[1:]] if kernel else [rank, w[0].numel()]
        up = [w.shape[0], rank] + ([1] * (w.dim() - 2) if kernel else [])
        parts[path] = {"lora_down": torch.randn(down) * 0.4, "lora_up": torch.randn(up) * 0.4}
    return parts


def numpy_parts(parts):
    return {path: {k: f64(v) for k, v in p.items()} for path, p in parts.items()}


def base_of(model):
    return {k: f64(v) for k, v in model.state_dict().items()}


def tensors_hash(tensors):
    """SHA-256 of the data of a file, as Kohya's scripts put it into the metadata."""
    data = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()})
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()


Q, OUT, FF = "down_blocks.0.attn1.to_q", "down_blocks.0.attn1.to_out.0", "down_blocks.0.ff_in"


def by_hand():
    hand = "by hand"

    def row_kohya():
        model = seeded(21)
        parts = random_parts(model, ["conv_in", "proj_in", "conv_out", Q, OUT, FF], 3, 210)
        alphas = dict(zip(parts, [torch.tensor(2), torch.tensor(1.5), torch.tensor(3.0, dtype=torch.bfloat16), torch.tensor([1.0]),
                                  torch.tensor(-1.0, dtype=torch.float64), None]))
        tensors = {}
        for path, p in parts.items():
            name = "lora_unet_" + path.replace(".", "_")
            tensors[name + ".lora_down.weight"] = p["lora_down"]
            tensors[name + ".lora_up.weight"] = p["lora_up"]
            if alphas[path] is not None:
                tensors[name + ".alpha"] = p["alpha"] = alphas[path]
        metadata = {"ss_network_module": "networks.lora", "ss_network_dim": "3", "ss_network_alpha": "2.0", "ss_base_model_version": "sd_v1",
                    "sshs_model_hash": tensors_hash(tensors)}
        save("kohya", model, tensors, oracle(base_of(model), numpy_parts(parts)), hand + ", in the naming of kohya-ss/sd-scripts", metadata,
             notes=["alpha is negative", 'is for "sd_v1"'], forms={"conv_in.weight": ["reshaped"], Q + ".weight": None})

    def row_linear_on_convolution():
        model = seeded(22)
        parts = random_parts(model, ["proj_in"], 2, 220, kernel=False)
        q = random_parts(model, [Q], 2, 221)[Q]
        parts[Q] = {"lora_down": q["lora_down"].reshape(2, 12, 1, 1), "lora_up": q["lora_up"].reshape(12, 2, 1, 1)}
        tensors = {f"lora_unet_{path.replace('.', '_')}.{k}.weight": v for path, p in parts.items() for k, v in p.items()}
        save("kernel-of-one", model, tensors, oracle(base_of(model), numpy_parts(parts)), hand)

    def row_components():
        model = seeded(23)
        parts = random_parts(model, [Q, FF], 2, 230)
        tensors = {}
        for path, p in parts.items():
            for k, v in p.items():
                tensors[f"lora_te2_{path.replace('.', '_')}.{k}.weight"] = v
        torch.manual_seed(231)
        for name in ("lora_te1_" + Q.replace(".", "_"), "lora_unet_input_blocks_1_1_proj_in"):
            tensors[name + ".lora_down.weight"] = torch.randn(2, 8)
            tensors[name + ".lora_up.weight"] = torch.randn(8, 2)
            tensors[name + ".alpha"] = torch.tensor(1.0)
        save("components", model, tensors, oracle(base_of(model), numpy_parts(parts)), hand, ignored=6,
             notes=["3 tensors of the denoiser (lora_unet_)", "3 tensors of the text encoder (lora_te1_)"])

    def row_aliases():
        model = seeded(24)
        names = {
            "conv_in": "unet.conv_in.lora_linear_layer.{}.weight", "proj_in": "unet.proj_in.lora.{}.weight",
            Q: "unet.down_blocks.0.attn1.processor.to_q_lora.{}.weight", OUT: "unet.down_blocks.0.attn1.processor.to_out_lora.{}.weight",
        }
        parts = random_parts(model, names, 2, 240)
        tensors = {name.format(k.removeprefix("lora_")): v for path, name in names.items() for k, v in parts[path].items()}
        save("diffusers-old", model, tensors, oracle(base_of(model), numpy_parts(parts)), hand + ", in the naming of diffusers before PEFT",
             diffusers=True)

        model = seeded(25)
        names = {"conv_in": "transformer.conv_in.lora_{}.weight", Q: f"transformer.{Q}.lora_{{}}.default.weight", OUT: f"transformer.{OUT}.lora_{{}}",
                 FF: f"diffusion_model.{FF}.lora_{{}}.weight"}
        parts = random_parts(model, names, 2, 250)
        letter = {"lora_down": "A", "lora_up": "B"}
        tensors = {name.format(letter[k]): v for path, name in names.items() for k, v in parts[path].items()}
        parts[FF]["alpha"] = tensors[f"diffusion_model.{FF}.alpha"] = torch.tensor(0.5)
        save("diffusers", model, tensors, oracle(base_of(model), numpy_parts(parts)), hand + ", in the naming of diffusers and of Mochi's trainer",
             diffusers=True)

    def row_settings():
        model = seeded(26)
        parts = random_parts(model, [Q], 2, 260) | random_parts(model, [FF], 4, 261)
        letter = {"lora_down": "A", "lora_up": "B"}
        tensors = {f"transformer.{path}.lora_{letter[k]}.weight": v for path, p in parts.items() for k, v in p.items()}
        torch.manual_seed(262)
        for path in parts:
            m = torch.rand(model.state_dict()[path + ".weight"].shape[0]) + 0.5
            tensors[f"transformer.{path}.lora_magnitude_vector"] = parts[path]["dora_scale"] = m
        settings = {"transformer.peft_type": "LORA", "transformer.r": 2, "transformer.lora_alpha": 6, "transformer.use_rslora": True,
                    "transformer.use_dora": True, "transformer.rank_pattern": {"ff_in": 4}, "transformer.alpha_pattern": {"ff_in": 3},
                    "transformer.target_modules": ["to_q", "ff_in"], "transformer.init_lora_weights": True, "transformer.lora_dropout": 0.0}
        scales = {Q: 6 / np.sqrt(2), FF: 3 / np.sqrt(4)}
        save("diffusers-settings", model, tensors, oracle(base_of(model), numpy_parts(parts), scales), hand + ", with the metadata that diffusers writes",
             {"format": "pt", "lora_adapter_metadata": json.dumps(settings, indent=2, sort_keys=True)}, diffusers=True,
             notes=["2 modules (DoRA): the magnitudes are of the outputs"])

    def row_biases():
        model = seeded(27)
        parts = random_parts(model, [Q], 2, 270)
        torch.manual_seed(271)
        parts[Q]["diff_b"] = torch.randn(12) * 0.1
        parts["norm"] = {"diff": torch.randn(8) * 0.1, "diff_b": torch.randn(8) * 0.1}
        parts["conv_in"] = {"diff_b": torch.randn(8) * 0.1}
        tensors = {}
        for path, p in parts.items():
            for k, v in p.items():
                tensors[f"diffusion_model.{path}.{k}" + (".weight" if k.startswith("lora") else "")] = v.to(torch.float16)
                p[k] = v.to(torch.float16)
        save("biases", model, tensors, oracle(base_of(model), numpy_parts(parts)), hand + ", in the naming of ComfyUI")

    def row_square():
        model = seeded(28)
        parts = random_parts(model, [Q, OUT, "conv_in"], 2, 280)
        torch.manual_seed(281)
        parts[Q]["dora_scale"] = torch.rand(12) + 0.5
        parts[OUT]["dora_scale"] = torch.rand(1, 12) + 0.5
        parts["conv_in"]["dora_scale"] = torch.rand(8, 1, 1, 1) + 0.5
        tensors = {}
        for path, p in parts.items():
            for k, v in p.items():
                tensors[f"lora_unet_{path.replace('.', '_')}.{k}" + (".weight" if k.startswith("lora") else "")] = v
        save("dora-by-shape", model, tensors, oracle(base_of(model), numpy_parts(parts)), hand,
             notes=["1 module (DoRA): the magnitudes " + text for text in ("are of the outputs", "are of the inputs", "could be")])

    for make in (row_kohya, row_linear_on_convolution, row_components, row_aliases, row_settings, row_biases, row_square):
        make()


def main():
    conv = "conv_in.weight"
    by_lycoris("locon", 1, network_module="locon", forms={conv: ["reshaped"], FF + ".weight": None})
    by_lycoris("locon-f16", 2, network_module="locon", dtype=torch.float16)
    by_lycoris("locon-tucker", 3, network_module="locon", use_tucker=True)
    by_lycoris("locon-scalar", 4, network_module="locon", use_scalar=True)
    by_lycoris("locon-rs", 5, network_module="locon", rs_lora=True, lora_dim=4, metadata={"ss_network_args": '{"algo": "locon", "rs_lora": "True"}'},
               notes=["rank-stabilized"])
    by_lycoris("loha", 6, network_module="loha", forms={conv: ["reshaped"], FF + ".weight": None})
    by_lycoris("loha-tucker", 7, network_module="loha", use_tucker=True)
    by_lycoris("loha-whole", 8, network_module="loha", lora_dim=17, conv_lora_dim=17, forms={FF + ".weight": ["dense"]})
    by_lycoris("lokr", 9, network_module="lokr", factor=2, lora_dim=1, conv_lora_dim=1, forms={FF + ".weight": ["blocks"]})
    by_lycoris("lokr-both", 10, network_module="lokr", factor=4, decompose_both=True, lora_dim=1, conv_lora_dim=1)
    by_lycoris("lokr-tucker", 11, network_module="lokr", factor=2, use_tucker=True, lora_dim=1, conv_lora_dim=2, ignored=1)
    by_lycoris("lokr-full", 12, network_module="lokr", factor=4, full_matrix=True, ignored=7, forms={FF + ".weight": ["dense"]})
    by_lycoris("lokr-unbalanced", 13, network_module="lokr", factor=4, unbalanced_factorization=True, lora_dim=1, conv_lora_dim=1)
    # Some of the modules are whole on both sides, and alpha counts for nothing there; one has only its left side as a product; of one the whole
    # change is smaller than its blocks.
    by_lycoris("lokr-mixed", 20, network_module="lokr", factor=2, lora_dim=3, conv_lora_dim=2, alpha=2, ignored=4)
    by_lycoris("lokr-left", 21, network_module="lokr", factor=5, unbalanced_factorization=True, decompose_both=True, alpha=3, ignored=5,
               forms={FF + ".weight": ["dense"]})
    by_lycoris("lokr-whole", 22, network_module="lokr", factor=2, unbalanced_factorization=True, lora_dim=3, conv_lora_dim=3, ignored=6,
               forms={"down_blocks.0.ff_out.weight": ["dense"]})
    by_lycoris("full", 14, network_module="full", norms=True, forms={conv: ["reshaped", "dense"]})
    out, inputs = "7 modules (DoRA): the magnitudes are of the outputs", "7 modules (DoRA): the magnitudes are of the inputs"
    by_lycoris("dora-out", 15, network_module="locon", weight_decompose=True, wd_on_out=True, notes=[out], forms={FF + ".weight": ["magnitude"]})
    by_lycoris("dora-in", 16, network_module="locon", weight_decompose=True, wd_on_out=False, notes=[inputs])
    by_lycoris("doha-out", 17, network_module="loha", weight_decompose=True, wd_on_out=True, notes=[out])
    by_lycoris("dokr-in", 18, network_module="lokr", factor=2, weight_decompose=True, wd_on_out=False, lora_dim=1, conv_lora_dim=1, notes=[inputs])
    by_lycoris("dokr-full", 19, network_module="lokr", factor=4, full_matrix=True, weight_decompose=True, ignored=7, notes=[out])
    by_hand()


if __name__ == "__main__":
    import safetensors.torch

    assert lycoris is not None
    ROOT = pathlib.Path(sys.argv[1])
    main()
