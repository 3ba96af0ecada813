package main

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"strings"
)

const (
	configName  = "adapter_config.json"
	weightsName = "adapter_model.safetensors"
)

// with is a good adapter with other weights.
func with(weights []byte) map[string][]byte {
	return map[string][]byte{configName: object(config()), weightsName: weights}
}

// one is a file with one tensor "t" of the given fields, and data bytes.
func one(fields string, data int) []byte { return header(`{"t":{`+fields+`}}`, data) }

func header(text string, data int) []byte { return append(framed(text), make([]byte, data)...) }

const good = `"dtype":"F32","shape":[1],"data_offsets":[0,4]`

// length is a file of a length field and what follows it.
func length(n uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), rest...)
}

// two is a file of two tensors of n bytes each.
func two(n, a0, a1, b0, b1, data int) []byte {
	return header(fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]},"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}`,
		n, a0, a1, n, b0, b1), data)
}

// containers are the inputs of group A.
func containers() []input {
	bytes := map[string][]byte{
		"A01-empty": {}, "A02-one-byte": {1}, "A02-seven-bytes": make([]byte, 7),
		"A03-length-0": length(0, "{}"), "A03-length-1": length(1, "{"),
		"A04-length-wraps": length(math.MaxUint64, "{}"), "A04-length-wraps-to-0": length(math.MaxUint64-7, "{}"),
		"A05-length-beyond-file":  length(3, "{}"),
		"A06-length-above-format": length(100_000_001, "{}"), "A06-length-above-limit": length(8<<20+1, "{}"),
		"A07-cut-in-key": header(`{"t`, 0), "A07-cut-in-entry": header(`{"t":{"dtype":"F32"`, 0), "A07-cut-in-escape": header(`{"\u00`, 0),
		"A08-leading-space": header(" {}", 0), "A08-byte-order-mark": header("\ufeff{}", 0), "A08-array": header("[]", 0),
		"A09-byte-after-json": header("{}x", 0), "A09-two-objects": header("{}{}", 0),
		"A10-invalid-utf8": header("{\"a\xff\":{"+good+"}}", 4), "A10-lone-surrogate": header(`{"\ud800":{`+good+`}}`, 4),
		"A10-nul-in-name":         header(`{"a\u0000":{`+good+`}}`, 4),
		"A11-duplicate-tensor":    header(`{"a":{`+good+`},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"A11-duplicate-by-escape": header(`{"a":{`+good+`},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
		"A12-duplicate-dtype":     one(`"dtype":"F32",`+good, 4), "A12-duplicate-offsets": one(`"data_offsets":[0,4],`+good, 4),
		"A13-metadata-twice": header(`{"__metadata__":{},"__metadata__":{}}`, 0), "A13-metadata-nested": header(`{"__metadata__":{"a":{"b":"c"}}}`, 0),
		"A13-metadata-number":       header(`{"__metadata__":{"a":1}}`, 0),
		"A14-tensor-named-metadata": header(`{"__metadata__":{`+good+`}}`, 4),
		"A15-deep-entry":            header(`{"t":`+strings.Repeat("[", 10_000), 0), "A15-deep-shape": header(`{"t":{"shape":`+strings.Repeat("[", 10_000), 0),
		"A17-unknown-dtype": one(`"dtype":"F31","shape":[1],"data_offsets":[0,4]`, 4), "A17-offsets": one(`"dtype":"F32","shape":[1],"offsets":[0,4]`, 4),
		"A17-key-in-another-case": one(`"Dtype":"F32","shape":[1],"data_offsets":[0,4]`, 4),
		"A18-begin-after-end":     one(`"dtype":"F32","shape":[1],"data_offsets":[4,0]`, 4),
		"A19-end-past-data":       one(`"dtype":"F32","shape":[2],"data_offsets":[0,8]`, 4),
		"A20-overlap":             two(4, 0, 4, 2, 6, 6), "A20-same-bytes": two(4, 0, 4, 0, 4, 4),
		"A21-hole": two(4, 0, 4, 5, 9, 9), "A22-trailing-bytes": one(good, 5),
		"A23-first-not-at-0": one(`"dtype":"F32","shape":[1],"data_offsets":[1,5]`, 5),
		"A24-too-few-bytes":  one(`"dtype":"F32","shape":[2],"data_offsets":[0,4]`, 4), "A24-too-many-bytes": one(`"dtype":"BF16","shape":[1],"data_offsets":[0,4]`, 4),
		"A25-shape-overflows": one(`"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]`, 0),
		"A25-bytes-overflow":  one(`"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]`, 0),
		"A25-bits-overflow":   one(`"dtype":"U8","shape":[4611686018427387904],"data_offsets":[0,0]`, 0),
		"A26-negative-axis":   one(`"dtype":"F32","shape":[-1],"data_offsets":[0,4]`, 4), "A26-float-axis": one(`"dtype":"F32","shape":[1.0],"data_offsets":[0,4]`, 4),
		"A26-exponent-axis": one(`"dtype":"F32","shape":[1e3],"data_offsets":[0,4]`, 4),
		"A26-axis-of-2-64":  one(`"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]`, 4),
		"A26-65-axes":       one(`"dtype":"F32","shape":[1`+strings.Repeat(",1", 64)+`],"data_offsets":[0,4]`, 4),
		"A28-half-a-byte":   one(`"dtype":"F4","shape":[3],"data_offsets":[0,1]`, 1),
		"A35-lfs-pointer":   []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
		"A35-xet-pointer":   []byte("# xet version 0\nfilesize = 12345\nhash = '4d7a'\n"),
		"A36-pickle":        []byte("\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."), "A36-zip": []byte("PK\x03\x04\x00\x00\x00\x00\x08\x08\x00\x00"),
		"A36-gguf": []byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00"), "A36-html": []byte("<!DOCTYPE html><html><title>404"),
		"A36-error-message":     []byte(`{"error":"Repository not found"}`),
		"A37-big-endian-length": append([]byte{0, 0, 0, 0, 0, 0, 0, 2}, "{}"...),
	}
	var all []input
	for name, content := range bytes {
		all = append(all, input{name, with(content)})
	}
	return append(all, values()...)
}

// values are the inputs of group A whose bytes are in order and whose values are not.
func values() []input {
	changed := func(change func(a *tensor)) map[string][]byte {
		tensors := pairs()
		change(&tensors[0])
		return with(safetensors(tensors))
	}
	put := func(bits uint32, where ...int) map[string][]byte {
		return changed(func(a *tensor) {
			for _, i := range where {
				binary.LittleEndian.PutUint32(a.data[4*i:], bits)
			}
		})
	}
	every := make([]int, rank*width)
	for i := range every {
		every[i] = i
	}
	retyped := func(dtype string, size int) map[string][]byte {
		return changed(func(a *tensor) { a.dtype, a.data = dtype, make([]byte, rank*width*size) })
	}
	all := map[string]map[string][]byte{
		"A27-no-columns": changed(func(a *tensor) { a.shape, a.data = []int{rank, 0}, nil }),
		"A27-scalar":     changed(func(a *tensor) { a.shape, a.data = []int{}, a.data[:4] }),
		"A28-doubles":    retyped("F64", 8), "A28-integers": retyped("I64", 8), "A28-booleans": retyped("BOOL", 1),
		"A29-nan": put(0x7fc00000, 5), "A29-infinity": put(0x7f800000, 5), "A29-minus-infinity": put(0xff800000, 5),
		"A29-all-nan": put(0x7fc00000, every...), "A29-nan-at-the-end": put(0x7fc00000, rank*width-1), "A29-signalling-nan": put(0x7fa00000, 5),
		"A30-denormals": put(1, every...),
		"A31-merge-overflows": with(safetensors(func() []tensor {
			tensors := pairs()
			for i, t := range tensors[:2] {
				for at := 0; at < len(t.data); at += 4 {
					binary.LittleEndian.PutUint32(tensors[i].data[at:], math.Float32bits(300))
				}
			}
			return tensors
		}())),
		"A32-f8-nan": changed(func(a *tensor) { a.dtype, a.data = "F8_E4M3", []byte(strings.Repeat("\x7f", rank*width)) }),
	}
	var inputs []input
	for name, files := range maps.All(all) {
		inputs = append(inputs, input{name, files})
	}
	return inputs
}
