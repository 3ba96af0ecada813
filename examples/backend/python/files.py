"""Opening files, and refusing what cannot be right: a process that holds other people's weights trusts no one."""

import hashlib
import math
import os
import stat

import grpc
import numpy as np

import rule

WEIGHTS = sorted(rule.STORED)
SIZES = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class Refused(Exception):
    """What the host is told: a gRPC code, and words for people."""

    def __init__(self, code, words):
        super().__init__(words)
        self.code = code


def invalid(words):
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, words)


def not_now(words):
    return Refused(grpc.StatusCode.FAILED_PRECONDITION, words)


class Files:
    """The open files of one request. Each is of the promised size, and of the promised digest where there is one."""

    def __init__(self, claims, write=False):
        self.claims, self.open = claims, []
        try:
            for claim in claims:
                self.add(claim, write)
        except OSError as error:
            self.close()
            missing = isinstance(error, FileNotFoundError)
            raise Refused(grpc.StatusCode.NOT_FOUND, str(error)) if missing else not_now(str(error))
        except Refused:
            self.close()
            raise

    def add(self, claim, write):
        info = os.stat(claim.path)
        if not stat.S_ISREG(info.st_mode):
            raise invalid(f"{claim.path!r} is no regular file")
        file = open(claim.path, "r+b" if write else "rb")
        self.open.append(file)
        if info.st_size < claim.size or info.st_size > claim.size and not write:
            raise Refused(grpc.StatusCode.DATA_LOSS, f"{claim.path!r} has {info.st_size} bytes, promised were {claim.size}")
        if claim.sha256 and hashlib.file_digest(file, "sha256").digest() != claim.sha256:
            raise Refused(grpc.StatusCode.DATA_LOSS, f"the bytes of {claim.path!r} are not those that were promised")

    def check(self, tensor):
        """Refuses a row that cannot be right."""
        size = SIZES.get(tensor.dtype)
        if size is None or any(n < 0 for n in tensor.shape) or math.prod(tensor.shape) * size != tensor.length:
            raise invalid(f"tensor {tensor.name!r}: {tensor.dtype} {list(tensor.shape)} in {tensor.length} bytes")
        if not 0 <= tensor.file < len(self.claims):
            raise invalid(f"tensor {tensor.name!r} is in file {tensor.file} of {len(self.claims)}")
        if tensor.offset < 0 or tensor.offset + tensor.length > self.claims[tensor.file].size:
            raise invalid(f"tensor {tensor.name!r} lies outside its file")

    def read(self, tensor):
        stored = os.pread(self.open[tensor.file].fileno(), tensor.length, tensor.offset)
        while len(stored) < tensor.length:  # one read gives at most 2 GiB
            more = os.pread(self.open[tensor.file].fileno(), tensor.length - len(stored), tensor.offset + len(stored))
            if not more:
                raise Refused(grpc.StatusCode.DATA_LOSS, f"tensor {tensor.name!r}: its file has become shorter")
            stored += more
        return stored

    def write(self, tensor, merged):
        left = memoryview(merged)
        while left:
            left = left[os.pwrite(self.open[tensor.file].fileno(), left, tensor.offset + len(merged) - len(left)) :]

    def close(self):
        for file in self.open:
            file.close()


def refuse_overlap(tensors):
    rows = sorted((t.file, t.offset, t.offset + t.length, t.name) for t in tensors)
    for before, after in zip(rows, rows[1:]):
        if before[0] == after[0] and after[1] < before[2]:
            raise invalid(f"tensors {before[3]!r} and {after[3]!r} overlap")


def check_patch(patch, weight, files):
    """Refuses a patch that does not fit its weight."""
    if weight.dtype not in WEIGHTS or len(weight.shape) != 2:
        raise invalid(f"tensor {weight.name!r}, {weight.dtype} {list(weight.shape)}, is no matrix that can be merged")
    if not patch.HasField("a") or not patch.HasField("b"):
        raise invalid(f"the patch of {weight.name!r} lacks a factor")
    for factor in (patch.a, patch.b):
        files.check(factor)
        if factor.dtype not in WEIGHTS:
            raise invalid(f"factor {factor.name!r} is of {factor.dtype}")
    rows, cols = reversed(weight.shape) if patch.fan_in_fan_out else weight.shape
    a, b = list(patch.a.shape), list(patch.b.shape)
    if len(a) != 2 or len(b) != 2 or a[0] == 0 or a != [b[1], cols] or b != [rows, a[0]]:
        raise invalid(f"factors {a} and {b} do not fit {weight.name!r}, {list(weight.shape)}")
    if not abs(patch.scale) <= np.finfo(np.float32).max:
        raise invalid(f"scale {patch.scale} is no f32")


def factor_tensors(patches):
    """All factors, each place once: patches may share one, and may not overlap in part."""
    return {(t.file, t.offset, t.length): t for p in patches for t in (p.a, p.b)}.values()


def check_outputs(request, inputs, outputs):
    """Refuses a merge that would write where it reads, or twice to one place."""
    read = {os.fstat(f.fileno())[1:3] for f in inputs.open}
    if any(os.fstat(f.fileno())[1:3] in read for f in outputs.open):
        raise invalid("an output is an input, and a base is never written")
    for row in request.tensors:
        inputs.check(row.base)
        outputs.check(row.merged)
        same = all(getattr(row.base, field) == getattr(row.merged, field) for field in ("name", "dtype", "shape", "length"))
        if not same or row.patch.tensor != row.base.name:
            raise invalid(f"{row.base.name!r}, {row.merged.name!r} and a patch of {row.patch.tensor!r} are not of one weight")
        check_patch(row.patch, row.base, inputs)
    refuse_overlap([row.merged for row in request.tensors])
    refuse_overlap(factor_tensors([row.patch for row in request.tensors]))
