"""Writes host/gguf/testdata: a GGUF file with every type that Tenon reads, and what ggml itself makes of it.

    pip install gguf==0.19.0 numpy
    python3 testdata/generators/gguf_types.py host/gguf/testdata DIRECTORY

DIRECTORY holds ggml's shared libraries (libggml-base.so), such as bins/linux-x64 of the npm package @node-llama-cpp/linux-x64 3.22.1, which has
llama.cpp v0.5.0.

    types.gguf   written by gguf-py: keys of every type of value, and one tensor for each type, quantised by ggml (ggml_quantize_chunk), from values
                 of several sizes; and blocks of random bytes for each, since a quantiser never writes some of the bits
    types.f32    the values of all its tensors in their order, by ggml's dequantize_row_*, as little-endian F32
    sharp.f32    values that are hard to quantise: halves, zeros, subnormals, the largest
    sharp.q8_0   the same by ggml's quantize_row_q8_0_ref
"""

import ctypes
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

ROWS, COLS = 2, 256
ROW_FUNCTIONS = {T.Q8_0: "q8_0", T.Q4_0: "q4_0", T.Q4_K: "q4_K", T.Q5_K: "q5_K", T.Q6_K: "q6_K"}


def dequantized(ggml, kind, raw):
    values = np.zeros(raw.size // GGML_QUANT_SIZES[kind][1] * GGML_QUANT_SIZES[kind][0], np.float32)
    if kind in ROW_FUNCTIONS:
        function = getattr(ggml, "dequantize_row_" + ROW_FUNCTIONS[kind])
        function(raw.ctypes.data_as(ctypes.c_void_p), values.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(values.size))
        return values
    if kind == T.BF16:
        return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return raw.view({T.F32: np.float32, T.F16: np.float16}[kind]).astype(np.float32)


def quantized(ggml, kind, values):
    raw = np.zeros(values.size // GGML_QUANT_SIZES[kind][0] * GGML_QUANT_SIZES[kind][1], np.uint8)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    written = ggml.ggml_quantize_chunk(ctypes.c_int(kind), values.ctypes.data_as(ctypes.c_void_p), raw.ctypes.data_as(ctypes.c_void_p),
                                       ctypes.c_int64(0), ctypes.c_int64(ROWS), ctypes.c_int64(COLS), None)
    assert written == raw.size, (kind, written, raw.size)
    return raw


def finite_noise(ggml, kind, rng):
    """Random bytes whose values are all finite."""
    elements, size = GGML_QUANT_SIZES[kind]
    raw = rng.integers(0, 256, (ROWS * COLS // elements, size), dtype=np.uint8)
    halves = {T.Q8_0: [0], T.Q4_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}.get(kind, [])
    for at in halves:
        raw[:, at:at + 2] = (rng.standard_normal((raw.shape[0], 1)) * 0.01).astype(np.float16).view(np.uint8).reshape(-1, 2)
    raw = raw.reshape(-1)
    if not halves:
        raw = raw.copy()
        words = raw.view({T.F32: np.uint32, T.F16: np.uint16, T.BF16: np.uint16}[kind])
        words &= {T.F32: 0xFF7FFFFF, T.F16: 0xFBFF, T.BF16: 0xFF7F}[kind]  # no exponent of all ones
    return raw


def sharp():
    blocks = [
        np.zeros(32), np.arange(32) - 16.0, np.arange(32) / 127 * 0.5, (np.arange(32) - 16) * 1.5 / 127, np.full(32, 1e-42),
        np.full(32, 6e-8 * 127 * 0.5), np.linspace(-3, 3, 32), np.full(32, -65504.0 * 100), np.concatenate([[127.0], np.arange(31) + 0.5]),
        np.concatenate([[-127.0], -np.arange(31) - 0.5]), np.concatenate([[1e-5], np.zeros(31)]), np.linspace(-1e-7, 1e-7, 32),
    ]
    rng = np.random.default_rng(8)
    blocks += [rng.standard_normal(32) * s for s in (1e-3, 1e-2, 0.1, 1, 10, 1e3) for _ in range(8)]
    return np.concatenate(blocks).astype(np.float32)


def main():
    out, libraries = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    ggml = ctypes.CDLL(str(libraries / "libggml-base.so"))
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    w = GGUFWriter(out / "types.gguf", "llama")
    w.add_name("types")
    w.add_uint8("test.u8", 255)
    w.add_int8("test.i8", -128)
    w.add_uint16("test.u16", 65535)
    w.add_int16("test.i16", -32768)
    w.add_uint32("test.u32", 2**32 - 1)
    w.add_int32("test.i32", -2**31)
    w.add_uint64("test.u64", 2**64 - 1)
    w.add_int64("test.i64", -2**63)
    w.add_float32("test.f32", 0.1)
    w.add_float64("test.f64", 0.1)
    w.add_bool("test.true", True)
    w.add_bool("test.false", False)
    w.add_array("test.strings", ["", "a", "\u00e9\U0001F600"])
    w.add_array("test.ints", [1, 2, 3])
    w.add_array("test.floats", [0.5, -0.25])
    w.add_array("test.bools", [True, False])
    expected = []
    for kind in (T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_K, T.Q5_K, T.Q6_K):
        values = (rng.standard_normal((ROWS, COLS)) * np.exp(rng.uniform(-6, 2, (ROWS, COLS)))).astype(np.float32)
        for name, raw in ((f"{kind.name}.made", quantized(ggml, kind, values)), (f"{kind.name}.noise", finite_noise(ggml, kind, rng))):
            expected.append(dequantized(ggml, kind, raw))
            assert np.isfinite(expected[-1]).all(), name
            w.add_tensor(name, raw.reshape(ROWS, -1), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    np.concatenate(expected).astype("<f4").tofile(out / "types.f32")
    values = sharp()
    raw = np.zeros(values.size // 32 * 34, np.uint8)
    ggml.quantize_row_q8_0_ref(values.ctypes.data_as(ctypes.c_void_p), raw.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(values.size))
    values.tofile(out / "sharp.f32")
    raw.tofile(out / "sharp.q8_0")


if __name__ == "__main__":
    main()
