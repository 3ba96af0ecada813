#!/usr/bin/env python3
"""A Tenon backend in Python: merges into files and into memory with numpy, and generates nothing. `make` builds it, README.md tells more."""

import hashlib
import threading

import grpc
import numpy as np

import backend_pb2 as pb
import backend_pb2_grpc
import plumbing
import rule
from files import WEIGHTS, Files, Refused, check_outputs, check_patch, factor_tensors, invalid, not_now, refuse_overlap


def answers(method):
    """Turns Refused into a status, for methods that return."""

    def wrapped(self, request, context):
        try:
            return method(self, request, context)
        except Refused as refused:
            context.abort(refused.code, str(refused))

    return wrapped


def streams(method):
    """The same for methods that yield."""

    def wrapped(self, request, context):
        try:
            yield from method(self, request, context)
        except Refused as refused:
            context.abort(refused.code, str(refused))

    return wrapped


def merge_one(stored, weight, patch, files):
    """The merged bytes of one weight and the event that tells of them."""
    a, b = (rule.widen(files.read(t), t.dtype).reshape(t.shape) for t in (patch.a, patch.b))
    merged, changed, lost = rule.merge(stored, weight.dtype, tuple(weight.shape), a, b, patch.scale, patch.fan_in_fan_out)
    digest = hashlib.sha256(merged).digest()
    return merged, pb.MergeEvent(tensor=weight.name, sha256=digest, changed=changed, non_finite=lost)


def refuse_overflow(events):
    names = [e.tensor for e in events if e.non_finite]
    if names:
        raise Refused(grpc.StatusCode.OUT_OF_RANGE, "merged entries overflow their dtype in " + ", ".join(names))


class Generation:
    """Merged tensors by name, and what was said of each."""

    def __init__(self):
        self.merged, self.events = {}, []


class Backend(backend_pb2_grpc.BackendServicer):
    """Generate and Compare are not here, so gRPC answers them with UNIMPLEMENTED, and Describe names no architecture."""

    def __init__(self):
        self.turn = threading.Lock()  # stagings and merges take turns
        self.lock = threading.Lock()  # guards what follows
        self.base, self.tensors, self.stored = b"", {}, {}
        self.generations, self.aliases = {}, {}

    def Describe(self, request, context):
        return pb.DescribeResponse(name="numpy", version="1.0.0", device=f"numpy {np.__version__}", dtypes=WEIGHTS)

    @answers
    def LoadBase(self, request, context):
        with self.turn:
            if len(request.digest) != 32:
                raise invalid(f"a digest of {len(request.digest)} bytes")
            if self.base and self.base != request.digest:
                raise not_now(f"base {self.base.hex()} is resident")
            if not self.base:
                self.load(request)
            return pb.LoadBaseResponse(resident_bytes=sum(map(len, self.stored.values())))

    def load(self, request):
        if not request.tensors:
            raise invalid("a base of no tensors")
        tensors = {t.name: t for t in request.tensors}
        if len(tensors) < len(request.tensors):
            raise invalid("a tensor comes twice")
        files = Files(request.files)
        try:
            for tensor in request.tensors:
                files.check(tensor)
            refuse_overlap(request.tensors)
            stored = {name: files.read(t) for name, t in tensors.items()}
        finally:
            files.close()
        with self.lock:
            self.base, self.tensors, self.stored = request.digest, tensors, stored

    @streams
    def Stage(self, request, context):
        with self.turn:
            if not self.base or self.base != request.base:
                raise not_now(f"base {self.base.hex() or 'none'} is resident, the generation is of {request.base.hex()}")
            if len(request.generation) != 32:
                raise invalid(f"a generation named by {len(request.generation)} bytes")
            if request.generation in self.generations:
                yield from self.generations[request.generation].events
                return
            patches = {p.tensor: p for p in request.patches}
            if not patches or len(patches) < len(request.patches):
                raise invalid("no patches, or two of one tensor")
            generation, files = Generation(), Files(request.files)
            try:
                for patch in request.patches:
                    if patch.tensor not in self.tensors:
                        raise invalid(f"tensor {patch.tensor!r} is not in the base")
                    check_patch(patch, self.tensors[patch.tensor], files)
                refuse_overlap(factor_tensors(request.patches))
                for name, patch in patches.items():
                    merged, event = merge_one(self.stored[name], self.tensors[name], patch, files)
                    generation.merged[name] = merged
                    generation.events.append(event)
                    yield event  # where the call was canceled, gRPC does not come back from here
                refuse_overflow(generation.events)
            finally:
                files.close()
            with self.lock:
                self.generations[request.generation] = generation

    @answers
    def Verify(self, request, context):
        with self.lock:
            generation = self.generations.get(request.generation)
        if generation is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"generation {request.generation.hex()} is not staged")
        response = pb.VerifyResponse()
        for name, merged in generation.merged.items():
            tensor = self.tensors[name]
            product = rule.product(merged, tensor.dtype, tuple(tensor.shape), request.seed, name)
            response.probes.add(tensor=name, sha256=hashlib.sha256(merged).digest(), product=product)
        return response

    @answers
    def Activate(self, request, context):
        with self.lock:
            if not request.alias:
                raise invalid('the alias "" is the base, for ever')
            if not self.base:
                raise not_now("no base is loaded")
            if request.generation and request.generation not in self.generations:
                raise Refused(grpc.StatusCode.NOT_FOUND, f"generation {request.generation.hex()} is not staged")
            wanted = (request.sequence, request.generation)
            last = self.aliases.get(request.alias)
            if last is not None and last != wanted and request.sequence <= last[0]:
                raise not_now(f"alias {request.alias!r} has seen sequence {last[0]}")
            self.aliases[request.alias] = wanted
        return pb.ActivateResponse()

    @answers
    def Release(self, request, context):
        with self.lock:
            for alias, (_, generation) in self.aliases.items():
                if generation and generation == request.generation:
                    raise not_now(f"alias {alias!r} means generation {generation.hex()}")
            return pb.ReleaseResponse(existed=self.generations.pop(request.generation, None) is not None)

    def Status(self, request, context):
        with self.lock:
            response = pb.StatusResponse(base=self.base)
            for name in sorted(self.generations):
                response.generations.add(generation=name, bytes=sum(map(len, self.generations[name].merged.values())))
            for alias, (sequence, generation) in sorted(self.aliases.items()):
                response.aliases.add(alias=alias, generation=generation, sequence=sequence)
            return response

    @streams
    def Merge(self, request, context):
        with self.turn:
            if not request.tensors:
                raise invalid("a merge of no tensors")
            inputs = Files(request.inputs)
            try:
                outputs = Files(request.outputs, write=True)
            except BaseException:
                inputs.close()
                raise
            try:
                check_outputs(request, inputs, outputs)
                events = []
                for row in request.tensors:
                    merged, event = merge_one(inputs.read(row.base), row.base, row.patch, inputs)
                    outputs.write(row.merged, merged)
                    events.append(event)
                    yield event
                refuse_overflow(events)
            finally:
                inputs.close()
                outputs.close()


if __name__ == "__main__":
    plumbing.serve(lambda server: backend_pb2_grpc.add_BackendServicer_to_server(Backend(), server))
