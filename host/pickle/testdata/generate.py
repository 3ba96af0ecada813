"""Writes the checkpoints of this directory, and golden.json with the digests of what torch.load reads from them. Run where torch is installed:

    python generate.py [REAL.bin ...]

A file given as an argument is digested into golden.json under its name and not copied.
"""
import collections, hashlib, json, os, pickle, sys, zipfile
import torch

here = os.path.dirname(os.path.abspath(__file__))


def digests(path):
    safe = not path.endswith("protocol4.bin")  # which was written above, and which the restricted reader of torch does not read
    state = torch.load(path, map_location="cpu", weights_only=safe)
    out = {}
    for name, t in sorted(state.items()):
        t = t.detach().contiguous()
        data = t.reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""
        out[name] = {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape), "sha256": hashlib.sha256(data).hexdigest()}
    return out


torch.manual_seed(7)
shared = torch.randn(6, 5)
state = collections.OrderedDict([
    ("plain", torch.randn(3, 4)),
    ("half", torch.randn(4, 2).half()),
    ("bfloat", torch.randn(2, 3, 2).bfloat16()),
    ("double", torch.randn(3, dtype=torch.float64)),
    ("long", torch.arange(5)),
    ("bool", torch.tensor([True, False])),
    ("scalar", torch.tensor(2.5)),
    ("empty", torch.zeros(0, 3)),
    ("transposed", shared.t()),
    ("rows", shared[1:3]),
    ("column", shared[:, 2]),
    ("repeated", torch.tensor([1.5]).expand(4, 2)),
    ("parameter", torch.nn.Parameter(torch.randn(2, 2))),
])
torch.save(state, os.path.join(here, "state.pt"))

module = torch.nn.Linear(3, 2)
torch.save(module.state_dict(), os.path.join(here, "module.bin"))  # an OrderedDict with _metadata

with zipfile.ZipFile(os.path.join(here, "module.bin")) as stored, zipfile.ZipFile(os.path.join(here, "deflated.bin"), "w", zipfile.ZIP_DEFLATED) as out:
    for entry in stored.namelist():
        out.writestr(zipfile.ZipInfo(entry), stored.read(entry), zipfile.ZIP_DEFLATED)

torch.save(dict(module.state_dict()), os.path.join(here, "protocol4.bin"), pickle_protocol=4)
torch.save(module.state_dict(), os.path.join(here, "legacy.bin"), _use_new_zipfile_serialization=False)
torch.save({"state_dict": module.state_dict(), "epoch": 3}, os.path.join(here, "training.pt"))
torch.save({"w": module}, os.path.join(here, "object.pt"))

golden = {name: digests(os.path.join(here, name)) for name in ["state.pt", "module.bin", "deflated.bin", "protocol4.bin"]}
for path in sys.argv[1:]:
    golden[os.path.basename(path)] = digests(path)
golden["generator"] = {"torch": torch.__version__}
with open(os.path.join(here, "golden.json"), "w") as f:
    json.dump(golden, f, indent=1, sort_keys=True)
    f.write("\n")
