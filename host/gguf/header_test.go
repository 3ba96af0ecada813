package gguf

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// TestReadHeader reads what gguf-py wrote.
func TestReadHeader(t *testing.T) {
	f, err := Open("testdata/types.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for key, want := range map[string]string{"general.architecture": "llama", "general.name": "types"} {
		if got, ok := f.Text(key); !ok || got != want {
			t.Errorf("%s = %q, %v", key, got, ok)
		}
	}
	for key, want := range map[string]uint64{"test.u8": 255, "test.u16": 65535, "test.u32": 1<<32 - 1, "test.u64": 1<<64 - 1} {
		if got, ok := f.Uint(key); !ok || got != want {
			t.Errorf("%s = %d, %v", key, got, ok)
		}
	}
	for _, key := range []string{"test.i8", "test.i16", "test.i32", "test.i64", "test.f32", "test.true", "absent", "general.name", "test.ints"} {
		if got, ok := f.Uint(key); ok {
			t.Errorf("%s = %d is no whole number from 0 on", key, got)
		}
	}
	for key, want := range map[string]float64{"test.f32": float64(float32(0.1)), "test.f64": 0.1} {
		if got, ok := f.Float(key); !ok || got != want {
			t.Errorf("%s = %v, %v", key, got, ok)
		}
	}
	if got, ok := f.Strings("test.strings"); !ok || !slices.Equal(got, []string{"", "a", "é😀"}) {
		t.Errorf("test.strings = %q, %v", got, ok)
	}
	for key, want := range map[string]int{"test.strings": 3, "test.floats": 2, "test.bools": 2} {
		if got, ok := f.Count(key); !ok || got != want {
			t.Errorf("%s has %d elements, %v", key, got, ok)
		}
	}
	wrong := func(key string, ok bool) {
		if ok {
			t.Errorf("%s was read as another type", key)
		}
	}
	_, ok := f.Text("test.u8")
	wrong("test.u8", ok)
	_, ok = f.Float("test.u8")
	wrong("test.u8", ok)
	_, ok = f.Strings("test.ints")
	wrong("test.ints", ok)
	_, ok = f.Count("test.u8")
	wrong("test.u8", ok)
	x, ok := f.Tensor("Q4_K.made")
	if !ok || x.Type != Q4_K || !slices.Equal(x.Shape, []int{2, 256}) || x.Length != 2*144 || x.Offset%DefaultAlignment != 0 {
		t.Errorf("%+v", x)
	}
	if _, ok := f.Tensor("absent"); ok {
		t.Error("a tensor that is not there was found")
	}
}

// TestRealFiles reads a model and an adapter that llama.cpp loads, where they lie beside the repository.
func TestRealFiles(t *testing.T) {
	paths, err := filepath.Glob("../../../shared/models/*/*.gguf")
	if err != nil || len(paths) == 0 {
		t.Skip("../shared/models is absent: no real files to read")
	}
	for _, path := range paths {
		f, err := Open(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if architecture, ok := f.Text("general.architecture"); !ok || len(f.Tensors) == 0 {
			t.Errorf("%s: %d tensors of %q", path, len(f.Tensors), architecture)
		}
		f.Close()
	}
}

func TestVersions(t *testing.T) {
	whole := head(1, 1).pair("a", Uint8).bytes(1).tensor("t", F32, 0, 2).pad(32).zeros(8)
	for version, ok := range map[uint32]bool{0: false, 1: false, 2: true, 3: true, 4: false, 3 << 24: false} {
		b := bytes.Clone(whole)
		copy(b[4:], raw(nil).u32(version))
		h, err := read(b)
		if ok && (err != nil || h.Version != version || h.Tensors[0].Offset != h.DataStart) {
			t.Errorf("version %d: %v", version, err)
		} else if !ok {
			wantCodes(t, err, fault.GGVersion)
		}
	}
	_, err := read(raw(magic).u32(3 << 24).zeros(16))
	if err == nil || !strings.Contains(err.Error(), "big-endian") {
		t.Errorf("a big-endian file: %v", err)
	}
}

// TestAccepts reads what is unusual and right.
func TestAccepts(t *testing.T) {
	tests := []struct {
		name string
		file raw
		want string // of Tensors
	}{
		{"nothing", head(0, 0), "[]"},
		{"nothing, padded", head(0, 0).pad(32), "[]"},
		{"no axes", head(1, 0).tensor("t", F32, 0).pad(32).zeros(4), "[{t F32 [] 64 4}]"},
		{"no padding at the end", head(1, 0).tensor("t", F32, 0, 1).pad(32).zeros(4), "[{t F32 [1] 64 4}]"},
		{"some padding at the end", head(1, 0).tensor("t", F32, 0, 1).pad(32).zeros(20), "[{t F32 [1] 64 4}]"},
		{"ggml's order of axes", head(1, 0).tensor("t", BF16, 0, 4, 3, 2).pad(32).zeros(48), "[{t BF16 [2 3 4] 96 48}]"},
		{"a type that is not read", head(1, 0).tensor("t", 10, 0, 256).pad(32).zeros(84), "[{t Q2_K [256] 64 84}]"},
		{"alignment 64", head(2, 1).pair(AlignmentKey, Uint32).u32(64).tensor("t", F32, 0, 1).tensor("u", F16, 64, 2).pad(64).zeros(68),
			"[{t F32 [1] 128 4} {u F16 [2] 192 4}]"},
		{"arrays in arrays", head(0, 1).pair("k", Array).u32(uint32(Array)).u64(1).u32(uint32(Array)).u64(2).u32(uint32(Uint8)).u64(1).bytes(7).
			u32(uint32(String)).u64(1).text("x"), "[]"},
		{"an empty array of arrays", head(0, 1).pair("k", Array).u32(uint32(Array)).u64(0), "[]"},
		{"one of one part", head(0, 1).pair(splitCountKey, Uint16).bytes(1, 0), "[]"},
		{"a value that is not UTF-8", head(0, 1).pair("k", String).text("\xff\x00"), "[]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, err := read(test.file)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(h.Tensors); got != test.want && !(len(h.Tensors) == 0 && test.want == "[]") {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
