package gguf

import (
	"testing"
)

// BenchmarkDequantize gives the bytes of F32 that are made of each type.
func BenchmarkDequantize(b *testing.B) {
	for _, kind := range []Type{F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K} {
		b.Run(kind.String(), func(b *testing.B) {
			values := make([]float32, 1<<16)
			n, _ := kind.RowBytes(len(values))
			raw := make([]byte, n)
			for i := range raw {
				raw[i] = byte(i * 7)
			}
			b.SetBytes(int64(4 * len(values)))
			for b.Loop() {
				if err := Dequantize(values, raw, kind); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncodeRow gives the bytes of F32 that are stored as each type.
func BenchmarkEncodeRow(b *testing.B) {
	for _, kind := range []Type{F32, F16, BF16, Q8_0} {
		b.Run(kind.String(), func(b *testing.B) {
			values := make([]float32, 1<<16)
			for i := range values {
				values[i] = float32(i%317)/100 - 1.5
			}
			n, _ := kind.RowBytes(len(values))
			raw := make([]byte, n)
			b.SetBytes(int64(4 * len(values)))
			for b.Loop() {
				if err := EncodeRow(raw, values, kind); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
