package gguf

import (
	"bytes"
	"os"
	"testing"
)

// FuzzReadHeader checks that no head makes the reader fail in another way than by a fault, and that what it accepts is written again with the
// same meaning and the same tiling.
func FuzzReadHeader(f *testing.F) {
	real, err := os.ReadFile("testdata/types.gguf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(real))
	f.Add([]byte(head(0, 0)))
	f.Add([]byte(head(1, 0).tensor("t", F32, 0, 1).pad(32).zeros(4)))
	f.Add([]byte(head(2, 1).pair(AlignmentKey, Uint32).u32(64).tensor("t", F32, 0, 1).tensor("u", F16, 64, 2).pad(64).zeros(68)))
	f.Add([]byte(head(0, 1).pair("k", Array).u32(uint32(Array)).u64(1).u32(uint32(String)).u64(1).text("x")))
	f.Add([]byte(head(0, 2).pair("a", Bool).bytes(1).pair("b", String).text("b")))
	f.Add([]byte(raw(magic).u32(1).zeros(40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHeader("x", bytes.NewReader(b), int64(len(b)), AdapterLimits)
		if err != nil {
			if len(codes(err)) == 0 {
				t.Fatalf("no fault: %v", err)
			}
			return
		}
		end := h.DataStart
		for _, x := range h.Tensors {
			if x.Offset != end || x.Length <= 0 || x.Offset+x.Length > int64(len(b)) {
				t.Fatalf("%+v begins where another ends, %d", x, end)
			}
			end = padded(x.Offset+x.Length, h.Alignment)
			if _, ok := h.Tensor(x.Name); !ok {
				t.Fatalf("%q is not found", x.Name)
			}
		}
		for _, p := range h.Pairs { // none may panic, whatever it holds
			h.Text(p.Key)
			h.Uint(p.Key)
			h.Float(p.Key)
			h.Count(p.Key)
			h.Strings(p.Key)
		}
		header, laid, _, err := Layout(h.Pairs, h.Tensors, h.Alignment)
		if err != nil {
			t.Fatal(err)
		}
		if h.Version == Version && !bytes.Equal(header[:min(len(header), len(b))], b[:min(len(header), len(b))]) && onlyZeros(b[headEnd(h):h.DataStart]) {
			t.Fatal("the head is written with other bytes")
		}
		for i := range laid {
			if laid[i].Offset != h.Tensors[i].Offset {
				t.Fatalf("%+v moved to %d", h.Tensors[i], laid[i].Offset)
			}
		}
	})
}

// headEnd is where the padding before the data begins.
func headEnd(h *Header) int64 {
	n := int64(headBytes)
	for _, p := range h.Pairs {
		n += int64(8 + len(p.Key) + 4 + len(p.Raw))
	}
	for _, x := range h.Tensors {
		n += int64(8 + len(x.Name) + 4 + 8*len(x.Shape) + 4 + 8)
	}
	return min(n, h.Bytes)
}

func onlyZeros(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
