package gguf

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"testing"
)

// floatsOf reads a file of little-endian F32.
func floatsOf(t *testing.T, path string) []float32 {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}

// TestDequantize holds every type against ggml's own values, to the bit, through Floats in pieces of odd sizes.
func TestDequantize(t *testing.T) {
	f, err := Open("testdata/types.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := os.ReadFile("testdata/types.f32")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tensors) != 16 {
		t.Fatalf("%d tensors", len(f.Tensors))
	}
	for _, x := range f.Tensors {
		n := 4 * x.Elements()
		t.Run(x.Name, func(t *testing.T) {
			raw, err := f.Read(x)
			if err != nil {
				t.Fatal(err)
			}
			values := make([]float32, x.Elements())
			if err := Dequantize(values, raw, x.Type); err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				if bits := binary.LittleEndian.Uint32(want[4*i:]); math.Float32bits(v) != bits {
					t.Fatalf("element %d is %v; ggml has %v", i, v, math.Float32frombits(bits))
				}
			}
			for _, piece := range []int{1, 3, 4, 127, 1000, n, n + 5} {
				got, err := io.ReadAll(&pieces{f.Floats(x), 0, piece})
				if err != nil || !bytes.Equal(got, want[:n]) {
					t.Fatalf("in pieces of %d: %d bytes, %v", piece, len(got), err)
				}
			}
		})
		want = want[n:]
	}
	if len(want) != 0 {
		t.Errorf("%d bytes of values are left", len(want))
	}
}

// pieces reads so many bytes at a time.
type pieces struct {
	r     io.ReaderAt
	at    int64
	piece int
}

func (p *pieces) Read(b []byte) (int, error) {
	n, err := p.r.ReadAt(b[:min(len(b), p.piece)], p.at)
	p.at += int64(n)
	return n, err
}

func TestDequantizeRefuses(t *testing.T) {
	tests := []struct {
		name     string
		elements int
		bytes    int
		kind     Type
	}{
		{"too few bytes", 32, 33, Q8_0}, {"too many bytes", 32, 35, Q8_0}, {"half a block", 16, 17, Q8_0}, {"type not read", 256, 84, 10},
		{"type not known", 1, 4, 99}, {"F32 of 3 bytes", 1, 3, F32}, {"F16 of 3 bytes", 1, 3, F16},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if Dequantize(make([]float32, test.elements), make([]byte, test.bytes), test.kind) == nil {
				t.Error("accepted")
			}
		})
	}
}

// TestFloatsAtTheEnd reads past the end and from beyond it, and a type that is not read.
func TestFloatsAtTheEnd(t *testing.T) {
	x := Tensor{Name: "x", Type: Q8_0, Shape: []int{32}, Length: 34}
	r := Floats(bytes.NewReader(make([]byte, 34)), x)
	p := make([]byte, 10)
	if n, err := r.ReadAt(p, 124); n != 4 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(p, 128); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	if _, err := r.ReadAt(p, -1); err == nil {
		t.Error("a negative offset was read")
	}
	if n, err := Floats(bytes.NewReader(make([]byte, 33)), x).ReadAt(p, 0); n != 0 || err == nil {
		t.Errorf("of a short file: %d, %v", n, err)
	}
	if _, err := Floats(bytes.NewReader(nil), Tensor{Type: 10}).ReadAt(p, 0); err == nil {
		t.Error("Q2_K was read")
	}
}

// TestQuantizeQ8_0 holds the quantiser against ggml's reference, to the bit.
func TestQuantizeQ8_0(t *testing.T) {
	values := floatsOf(t, "testdata/sharp.f32")
	want, err := os.ReadFile("testdata/sharp.q8_0")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if err := QuantizeQ8_0(got, values); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("byte %d of block %d is %d; ggml has %d", i%34, i/34, got[i], want[i])
		}
	}
}

func TestQuantizeQ8_0Refuses(t *testing.T) {
	tests := []struct {
		name  string
		value float32
	}{{"NaN", float32(math.NaN())}, {"infinity", float32(math.Inf(-1))}, {"too large for the scale", 9e6}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			values := make([]float32, 64)
			values[40] = test.value
			if QuantizeQ8_0(make([]byte, 68), values) == nil {
				t.Error("accepted")
			}
		})
	}
	if QuantizeQ8_0(make([]byte, 34), make([]float32, 31)) == nil {
		t.Error("31 values were accepted")
	}
}

func TestEncodeRow(t *testing.T) {
	values := []float32{0, 1, -1.5, 65504, 1e-8, 0.1, float32(math.Inf(1)), 3}
	for _, kind := range []Type{F32, F16, BF16} {
		n, _ := kind.RowBytes(len(values))
		raw := make([]byte, n)
		if err := EncodeRow(raw, values, kind); err != nil {
			t.Fatal(err)
		}
		back := make([]float32, len(values))
		if err := Dequantize(back, raw, kind); err != nil {
			t.Fatal(err)
		}
		step := map[Type]float64{F32: 0, F16: 0x1p-11, BF16: 0x1p-8}[kind]
		for i, v := range values {
			if d := math.Abs(float64(back[i]) - float64(v)); d > step*math.Abs(float64(v))+0x1p-25 && kind != F32 || kind == F32 && back[i] != v {
				t.Errorf("%v: %v became %v", kind, v, back[i])
			}
		}
	}
	for _, kind := range []Type{Q4_0, Q4_K, 10, 99} {
		if EncodeRow(make([]byte, 1024), make([]float32, 256), kind) == nil {
			t.Errorf("%v was written", kind)
		}
	}
	if EncodeRow(make([]byte, 3), make([]float32, 1), F32) == nil {
		t.Error("3 bytes for an F32")
	}
}
