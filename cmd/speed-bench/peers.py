"""The other sides of speed-bench: merges of PEFT and of numpy, one at a time, as they are asked for on standard input.

    peers.py serve peft|numpy              answers requests, a JSON object a line
    peers.py torch BASE ADAPTER OUT        load, merge and save a checkpoint with torch and safetensors alone, shard by shard
    peers.py peft BASE ADAPTER OUT         the same as transformers and PEFT do it
"""

import json
import os
import sys
import time

START = time.perf_counter()


def serve(answer, about):
    # What libraries print must not come between the answers.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"about": about}), file=out)
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:  # told, and the next request is answered all the same
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=out)


def timed(request, run, restore):
    """Seconds of each run of one merge, until there are enough of them or they have taken long enough."""
    seconds = []
    while len(seconds) < request["times"] and sum(seconds) < request["enough"]:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
        sample = restore()
    return {"seconds": seconds, "sample": sample}


class PEFT:
    """One module of as many linear layers as there are copies, each with the same adapter. A merge is LoraLayer.merge of the next layer."""

    def __init__(self):
        import peft
        import torch

        self.torch, self.peft, self.model = torch, peft, None
        self.about = {"torch": torch.__version__, "peft": peft.__version__}

    def read(self, path, dtype, shape):
        return self.torch.from_file(path, shared=False, size=shape[0] * shape[1], dtype=dtype).reshape(shape).clone()

    def prepare(self, request):
        torch, size, rank = self.torch, request["size"], request["rank"]
        torch.set_num_threads(request["workers"])
        self.model = None
        dtype = {"BF16": torch.bfloat16, "F32": torch.float32}[request["dtype"]]
        self.pristine = self.read(request["w"], dtype, (size, size))

        class Layers(torch.nn.Module):
            def __init__(self):
                super().__init__()
                for i in range(request["copies"]):
                    layer = torch.nn.utils.skip_init(torch.nn.Linear, size, size, bias=False, dtype=dtype)
                    setattr(self, f"layer{i}", layer)

        layers = Layers()
        names = [f"layer{i}" for i in range(request["copies"])]
        config = self.peft.LoraConfig(r=rank, lora_alpha=request["scale"] * rank, target_modules=names, lora_dropout=0.0, bias="none")
        self.model = self.peft.get_peft_model(layers, config)
        self.layers = [getattr(self.model.base_model.model, name) for name in names]
        for layer in self.layers:
            layer.lora_A["default"].weight.data = self.read(request["a"], torch.float32, (rank, size))
            layer.lora_B["default"].weight.data = self.read(request["b"], torch.float32, (size, rank))
            layer.base_layer.weight.data.copy_(self.pristine)
        self.turn = 0
        return {}

    def merge(self, request):
        def run():
            self.layers[self.turn].merge()

        def restore():
            layer = self.layers[self.turn]
            weight = layer.base_layer.weight.data
            sample = weight.flatten()[request["first"] :: request["step"]].float().tolist()
            layer.merged_adapters.clear()
            weight.copy_(self.pristine)
            self.turn = (self.turn + 1) % len(self.layers)
            return sample

        with self.torch.no_grad():
            return timed(request, run, restore)


class Numpy:
    """W += s (B @ A), as one would write it. The product is OpenBLAS's. BF16 is that of ml_dtypes, which converts with one thread."""

    def __init__(self):
        import ml_dtypes
        import numpy

        self.numpy, self.bf16 = numpy, ml_dtypes.bfloat16
        self.about = {"numpy": numpy.__version__}

    def prepare(self, request):
        numpy, size, rank = self.numpy, request["size"], request["rank"]
        dtype = {"BF16": self.bf16, "F32": numpy.float32}[request["dtype"]]
        self.copies = []
        self.pristine = numpy.fromfile(request["w"], dtype).reshape(size, size)
        self.copies = [self.pristine.copy() for _ in range(request["copies"])]
        self.a = numpy.fromfile(request["a"], numpy.float32).reshape(rank, size)
        self.b = numpy.fromfile(request["b"], numpy.float32).reshape(size, rank)
        self.scale = numpy.float32(request["scale"])
        self.turn = 0
        return {}

    def merge(self, request):
        scale = self.scale

        def run():
            w = self.copies[self.turn]
            if w.dtype == self.numpy.float32:
                w += scale * (self.b @ self.a)
            else:
                w[...] = w.astype(self.numpy.float32) + scale * (self.b @ self.a)

        def restore():
            w = self.copies[self.turn]
            sample = w.reshape(-1)[request["first"] :: request["step"]].astype(self.numpy.float32).tolist()
            w[...] = self.pristine
            self.turn = (self.turn + 1) % len(self.copies)
            return sample

        return timed(request, run, restore)


def merge_with_torch(base, adapter, out):
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    ready = time.perf_counter()
    with open(os.path.join(adapter, "adapter_config.json")) as f:
        config = json.load(f)
    scale = config["lora_alpha"] / config["r"]
    factors = load_file(os.path.join(adapter, "adapter_model.safetensors"))
    prefix = "base_model.model."
    os.makedirs(out)
    for name in sorted(os.listdir(base)):
        source, target = os.path.join(base, name), os.path.join(out, name)
        if not name.endswith(".safetensors"):
            with open(source, "rb") as f, open(target, "wb") as g:
                g.write(f.read())
            continue
        with safe_open(source, "pt") as f:
            metadata = f.metadata()
        tensors = load_file(source)
        for key, weight in tensors.items():
            module = prefix + key.removesuffix(".weight")
            b = factors.get(module + ".lora_B.weight")
            if b is not None:
                weight += (b.float() @ factors[module + ".lora_A.weight"].float()) * scale
        save_file(tensors, target, metadata)
    return ready


def merge_with_peft(base, adapter, out):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ready = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(model, adapter)
    model.merge_and_unload().save_pretrained(out)
    return ready


def main():
    if sys.argv[1] == "serve":
        peer = {"peft": PEFT, "numpy": Numpy}[sys.argv[2]]()
        serve(lambda request: getattr(peer, request["op"])(request), peer.about)
        return
    ready = {"torch": merge_with_torch, "peft": merge_with_peft}[sys.argv[1]](*sys.argv[2:])
    # Importing libraries is no part of a merge: how long it took is told apart.
    print(json.dumps({"imports": ready - START}))


main()
