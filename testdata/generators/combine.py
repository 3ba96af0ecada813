"""Makes host/merge/testdata/combine.json: adapters, and what each method of combining them makes of their changes, in f64.

    pip install numpy==2.4.6
    python testdata/generators/combine.py host/merge/testdata/combine.json

The definitions are those of docs and of host/merge: every method works on what an adapter adds to a weight, scale * B A, never on its factors.
"ties", "dare_*" and "magnitude_prune" prune and elect as PEFT's merge_utils do, with entries of equal magnitude taken in their order, and with
random entries drawn from SplitMix64 in place of torch's generator.
"""

import json
import sys

import numpy as np

SHAPES = {"model.layers.0.self_attn.q_proj": (8, 8), "model.layers.0.mlp.down_proj": (8, 12), "model.layers.1.self_attn.q_proj": (8, 8)}
ADAPTERS = [  # rank, alpha, weight, modules
    (2, 4, 0.7, list(SHAPES)),
    (3, 3, 0.3, list(SHAPES)[:2]),
    (4, 2, -0.5, list(SHAPES)[:1]),
]
MASK = (1 << 64) - 1
INCREMENT = 0x9E3779B97F4A7C15


def finalizer(z):
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def fnv1a(text):
    h = 0xCBF29CE484222325
    for byte in text:
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def drawn(delta, density, seed, name, number):
    key = finalizer(seed ^ fnv1a(name.encode() + b"\0" + str(number).encode()))
    words = [finalizer((key + (at + 1) * INCREMENT) & MASK) for at in range(delta.size)]
    mask = np.array([(word >> 11) * 2.0**-53 < density for word in words]).reshape(delta.shape)
    return np.where(mask, delta / density, 0)


def largest(delta, density):
    keep = int(density * delta.size)
    order = np.argsort(-np.abs(delta).ravel(), kind="stable")[:keep]
    mask = np.zeros(delta.size, dtype=bool)
    mask[order] = True
    return np.where(mask.reshape(delta.shape), delta, 0)


def elect(deltas, weights, majority):
    votes = sum(deltas) if majority == "total" else sum(np.sign(d) for d in deltas)
    sign = np.where(votes >= 0, 1, -1)
    masks = [np.sign(d) == sign for d in deltas]
    total = sum(w * d * m for w, d, m in zip(weights, deltas, masks))
    return total / np.maximum(sum(m.astype(float) for m in masks), 1)


def combine(case, name, numbers, deltas, weights):
    method = case["method"]
    if method in ("linear", "cat", "svd"):
        total = sum(w * d for w, d in zip(weights, deltas))
        if method != "svd":
            return total
        u, s, v = np.linalg.svd(total)
        rank = min(case.get("rank") or max(r for r, *_ in ADAPTERS), len(s))
        return (u[:, :rank] * s[:rank]) @ v[:rank]
    if method.startswith("dare"):
        deltas = [drawn(d, case["density"], case["seed"], name + ".weight", n) for n, d in zip(numbers, deltas)]
    else:
        deltas = [largest(d, case["density"]) for d in deltas]
    if method in ("ties", "dare_ties"):
        return elect(deltas, weights, case["majority"])
    return sum(w * d for w, d in zip(weights, deltas))


def main(path):
    random = np.random.Generator(np.random.PCG64(7))
    adapters = []
    for rank, alpha, weight, modules in ADAPTERS:
        factors = {}
        for name in modules:
            out, into = SHAPES[name]
            factors[name] = {
                "a": random.normal(size=(rank, into)).astype(np.float32),
                "b": random.normal(size=(out, rank)).astype(np.float32),
            }
        adapters.append((rank, alpha, weight, factors))
    cases = [{"method": "linear"}, {"method": "cat"}, {"method": "svd"}, {"method": "svd", "rank": 2}]
    for density in (0.3, 0.75, 1.0):
        cases.append({"method": "magnitude_prune", "density": density})
        cases.append({"method": "dare_linear", "density": density, "seed": 11})
        for majority in ("total", "frequency"):
            cases.append({"method": "ties", "density": density, "majority": majority})
            cases.append({"method": "dare_ties", "density": density, "majority": majority, "seed": 2**63 + 5})
    for case in cases:
        case["delta"] = {}
        for name in SHAPES:
            numbers = [i for i, (_, _, _, f) in enumerate(adapters) if name in f]
            of = [adapters[i] for i in numbers]
            deltas = [alpha / rank * (f[name]["b"].astype(np.float64) @ f[name]["a"].astype(np.float64)) for rank, alpha, _, f in of]
            case["delta"][name] = combine(case, name, numbers, deltas, [w for _, _, w, _ in of]).ravel().tolist()
    text = {
        "shapes": SHAPES,
        "adapters": [
            {"rank": r, "alpha": alpha, "weight": w, "factors": {n: {k: v.ravel().tolist() for k, v in f.items()} for n, f in factors.items()}}
            for r, alpha, w, factors in adapters
        ],
        "cases": cases,
    }
    with open(path, "w") as file:
        json.dump(text, file, separators=(",", ":"))
        file.write("\n")


main(sys.argv[1])
