"""The merge rule, to the bit: W' = round(f32(W) + delta), delta = sum over k of fma(f32(s) * B[i,k], A[k,j]), k ascending from 0, in f32."""

import numpy as np

# How a stored dtype lies in memory. numpy has no BF16: it is handled as the upper half of an f32.
STORED = {"BF16": np.dtype("<u2"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


def fma(x, y, z):
    """x * y + z of f32 arrays, rounded once to f32, as a fused multiply-add does.

    The product of two f32 is exact in f64, but its sum with z may not be, and rounding to f64 first and to f32 then would round twice. So the
    sum is rounded to odd: of the two f64 around it, the one whose last bit is set keeps a trace of all that was cut off. f64 has more than two
    bits beyond an f32's, so rounding that value to f32 equals rounding the exact sum.
    """
    product, z = np.float64(x) * np.float64(y), np.float64(z)
    total = np.add(product, z)
    shadow = total - product
    rest = (product - (total - shadow)) + (z - shadow)  # exactly what the addition lost (Knuth's TwoSum)
    bits = np.atleast_1d(total).view(np.int64)
    away = np.where((rest > 0) == (total > 0), 1, -1)
    bits = bits + np.where(np.isfinite(total) & (rest != 0) & (bits & 1 == 0), away, 0)
    return bits.view(np.float64).astype(np.float32)


def widen(stored, dtype):
    """The f32 values of stored bytes."""
    values = np.frombuffer(stored, STORED[dtype])
    if dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


def narrow(values, dtype):
    """The stored bytes of f32 values, rounded to nearest, ties to even."""
    if dtype != "BF16":
        return values.astype(STORED[dtype]).tobytes()
    bits = values.view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    rounded = np.where(np.isnan(values), bits >> 16 | 0x40, rounded)  # a NaN stays one
    return rounded.astype(STORED[dtype]).tobytes()


def merge(stored, dtype, shape, a, b, scale, fan_in_fan_out):
    """The merged bytes of one tensor, how many entries changed, and how many became infinite or NaN."""
    with np.errstate(all="ignore"):  # an overflow is counted below
        left = np.float32(scale) * b
        delta = np.zeros((b.shape[0], a.shape[1]), np.float32)
        for k in range(a.shape[0]):
            delta = fma(left[:, k : k + 1], a[k : k + 1, :], delta)
        w = widen(stored, dtype).reshape(shape)
        merged = narrow(w + (delta.T if fan_in_fan_out else delta), dtype)
    before, after = np.frombuffer(stored, STORED[dtype]), np.frombuffer(merged, STORED[dtype])
    width = f"u{STORED[dtype].itemsize}"
    changed = np.count_nonzero(before.view(width) != after.view(width))
    lost = np.count_nonzero(np.isfinite(w).ravel() & ~np.isfinite(widen(merged, dtype)))
    return merged, int(changed), int(lost)


def probe(seed, name, n):
    """The probe vector of a tensor: n entries, each +1 or -1. See backend.Probe in the Go SDK, which defines it."""
    mask = (1 << 64) - 1
    state = 0xCBF29CE484222325
    for byte in name.encode():  # FNV-1a
        state = (state ^ byte) * 0x100000001B3 & mask
    state ^= seed
    words = np.empty((n + 63) // 64, "<u8")
    for k in range(len(words)):  # SplitMix64
        state = state + 0x9E3779B97F4A7C15 & mask
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        words[k] = z ^ z >> 31
    return np.unpackbits(words.view(np.uint8), bitorder="little")[:n] * 2.0 - 1.0


def product(stored, dtype, shape, seed, name):
    """The stored matrix times its probe, summed in f64 in 16 lanes as backend.Probe says."""
    rows, cols = shape
    terms = np.zeros((rows, (cols + 15) // 16 * 16))
    with np.errstate(all="ignore"):
        terms[:, :cols] = widen(stored, dtype).reshape(shape) * probe(seed, name, cols)
        lanes = np.zeros((rows, 16))
        for at in range(0, terms.shape[1], 16):
            lanes += terms[:, at : at + 16]
        for distance in (8, 4, 2, 1):
            lanes = lanes[:, :distance] + lanes[:, distance : 2 * distance]
    return lanes[:, 0]
