package gguf

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestRewrite writes a file anew with the pairs and tensors that were read, and gets the same bytes: gguf-py's layout is ours.
func TestRewrite(t *testing.T) {
	paths := []string{"testdata/types.gguf"}
	for _, path := range append(paths, "../../../shared/models/stories260K/base.gguf", "../../../shared/models/stories260K/adapter.gguf") {
		want, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			t.Logf("%s is absent", path)
			continue
		}
		h, err := ReadHeader(path, bytes.NewReader(want), int64(len(want)), BaseLimits)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w, err := NewWriter(&out, h.Pairs, h.Tensors, h.Alignment)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range h.Tensors {
			if _, err := w.Write(want[x.Offset : x.Offset+x.Length]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s: %d bytes written, which differ from the %d read", path, out.Len(), len(want))
		}
	}
}

// TestRoundTrip writes random files in random pieces and reads them.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	kinds := []Type{F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K}
	for range 200 {
		alignment := 8 << r.IntN(5)
		pairs := []Pair{TextPair("text", "é\x00"), UintPair(AlignmentKey, uint32(alignment)), FloatPair("f", float32(r.NormFloat64())),
			{"b", Bool, []byte{byte(r.IntN(2))}}, TextsPair("texts", []string{"a", "", "b"}[:r.IntN(4)])}
		var tensors []Tensor
		for i := range r.IntN(6) {
			x := Tensor{Name: strings.Repeat("n", i+1), Type: kinds[r.IntN(len(kinds))]}
			for range r.IntN(MaxDims) {
				x.Shape = append(x.Shape, 1+r.IntN(3))
			}
			block, _ := x.Type.Block()
			x.Shape = append(x.Shape, block*(1+r.IntN(2)))
			tensors = append(tensors, x)
		}
		var out bytes.Buffer
		w, err := NewWriter(&out, pairs, tensors, alignment)
		if err != nil {
			t.Fatal(err)
		}
		var data []byte
		for _, x := range w.Tensors() {
			part := make([]byte, x.Length)
			for i := range part {
				part[i] = byte(r.Uint32())
			}
			data = append(data, part...)
		}
		for rest := data; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader("x", bytes.NewReader(out.Bytes()), int64(out.Len()), BaseLimits)
		if err != nil {
			t.Fatal(err)
		}
		if h.Version != Version || h.Alignment != alignment || !reflect.DeepEqual(h.Pairs, pairs) {
			t.Fatalf("read %+v, wrote %+v", h.Pairs, pairs)
		}
		if len(tensors) > 0 && !reflect.DeepEqual(h.Tensors, w.Tensors()) {
			t.Fatalf("read %+v, wrote %+v", h.Tensors, w.Tensors())
		}
		for i, x := range h.Tensors {
			if x.Name != tensors[i].Name || !slices.Equal(x.Shape, tensors[i].Shape) || !bytes.Equal(out.Bytes()[x.Offset:x.Offset+x.Length], data[:x.Length]) {
				t.Fatalf("tensor %+v", x)
			}
			data = data[x.Length:]
		}
		if texts, ok := h.Strings("texts"); !ok && len(texts) > 0 {
			t.Fatal("the strings are gone")
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	one := func(name string, kind Type, shape ...int) []Tensor {
		return []Tensor{{Name: name, Type: kind, Shape: shape}}
	}
	tests := []struct {
		name      string
		pairs     []Pair
		tensors   []Tensor
		alignment int
	}{
		{"key twice", []Pair{UintPair("a", 1), UintPair("a", 1)}, nil, 0},
		{"no key", []Pair{UintPair("", 1)}, nil, 0},
		{"value of no type", []Pair{{"a", valueTypes, nil}}, nil, 0},
		{"value of another length", []Pair{{"a", Uint32, []byte{1}}}, nil, 0},
		{"value that is too long", []Pair{{"a", Uint32, make([]byte, 5)}}, one("t", F32, 1), 0},
		{"tensor twice", nil, append(one("t", F32, 1), one("t", F32, 1)...), 0},
		{"tensor without a name", nil, one("", F32, 1), 0},
		{"long name", nil, one(strings.Repeat("n", 64), F32, 1), 0},
		{"negative axis", nil, one("t", F32, -1), 0},
		{"no elements", nil, one("t", F32, 0), 0},
		{"half a block", nil, one("t", Q8_0, 16), 0},
		{"too large", nil, one("t", F32, math.MaxInt/2, 4), 0},
		{"too large together", nil, append(one("t", F32, math.MaxInt64/9), one("u", F32, math.MaxInt64/9)...), 0},
		{"alignment without its key", nil, nil, 64},
		{"alignment with another key", []Pair{UintPair(AlignmentKey, 32)}, nil, 64},
		{"no power of two", []Pair{UintPair(AlignmentKey, 48)}, nil, 48},
		{"one part of several", []Pair{UintPair(splitCountKey, 2)}, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, _, err := Layout(test.pairs, test.tensors, test.alignment); err == nil {
				t.Error("Layout accepted it")
			}
			if _, err := NewWriter(&bytes.Buffer{}, test.pairs, test.tensors, test.alignment); err == nil {
				t.Error("NewWriter accepted it")
			}
		})
	}
}

// narrow takes the first few bytes.
type narrow struct{ room int }

var errNarrow = errors.New("no room")

func (n *narrow) Write(p []byte) (int, error) {
	took := min(len(p), n.room)
	n.room -= took
	if took < len(p) {
		return took, errNarrow
	}
	return took, nil
}

func TestWriterCountsBytes(t *testing.T) {
	tensors := []Tensor{{Name: "a", Type: F32, Shape: []int{2}}, {Name: "b", Type: F16, Shape: []int{1}}}
	header, _, size, err := Layout(nil, tensors, 0)
	if err != nil || size != int64(len(header))+32+32 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	t.Run("too few", func(t *testing.T) {
		w, _ := NewWriter(&bytes.Buffer{}, nil, tensors, 0)
		w.Write(make([]byte, 9))
		if w.Close() == nil {
			t.Error("Close accepted 9 bytes of 10")
		}
	})
	t.Run("too many", func(t *testing.T) {
		var out bytes.Buffer
		w, _ := NewWriter(&out, nil, tensors, 0)
		if n, err := w.Write(make([]byte, 11)); n != 10 || err == nil {
			t.Errorf("Write took %d of 11 bytes: %v", n, err)
		}
		if w.Close() == nil {
			t.Error("Close forgot the failed Write")
		}
	})
	t.Run("write fails", func(t *testing.T) {
		for room := range int(size) {
			out := &narrow{room}
			w, err := NewWriter(out, nil, tensors, 0)
			if err == nil {
				_, err = w.Write(make([]byte, 10))
				if again := w.Close(); !errors.Is(again, errNarrow) {
					t.Fatalf("room %d: Close: %v", room, again)
				}
			}
			if !errors.Is(err, errNarrow) {
				t.Fatalf("room %d: %v", room, err)
			}
		}
	})
}
