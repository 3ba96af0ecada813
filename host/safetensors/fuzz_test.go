package safetensors

import (
	"bytes"
	"encoding/binary"
	"os"
	"reflect"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// FuzzReadHeader asks that what is refused is refused by code, and that what is accepted tiles the file exactly and, written again, reads
// back the same.
func FuzzReadHeader(f *testing.F) {
	for _, attack := range attacks {
		if len(attack.bytes) < 4096 {
			f.Add(attack.bytes)
		}
	}
	f.Add(file(one(good), 4))
	f.Add(file(`{"__metadata__":{"format":"pt"},"a":{"dtype":"F4","shape":[2,0],"data_offsets":[0,0]}}  `, 0))
	for _, path := range sharedModels(f) {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if length := binary.LittleEndian.Uint64(raw); length < 4096 {
			f.Add(raw[:8+length])
		}
	}
	limits := Limits{HeaderBytes: 1 << 20, FileBytes: 1 << 20, Tensors: 1000, Dims: 16, MetadataBytes: 1 << 16}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := ReadHeader("x", bytes.NewReader(raw), int64(len(raw)), limits)
		if err != nil {
			if len(fault.All(err)) == 0 || fault.ClassOf(err) != fault.Rejected {
				t.Fatalf("refused without a code: %v", err)
			}
			return
		}
		checkTiles(t, h, int64(len(raw)))
		header, refs, size, err := Layout(entriesOf(h), h.Metadata)
		if err != nil {
			t.Fatalf("accepted, but cannot be written: %v", err)
		}
		again, err := ReadHeader("x", bytes.NewReader(append(header, raw[h.DataStart:]...)), size, Limits{})
		if err != nil {
			t.Fatalf("written, but cannot be read: %v", err)
		}
		for i, ref := range refs {
			if !reflect.DeepEqual(again.Tensors[i].Ref, ref) || ref.Offset-again.DataStart != h.Tensors[i].Offset-h.DataStart {
				t.Fatalf("tensor %d: wrote %v, read %v, had %v", i, ref, again.Tensors[i], h.Tensors[i])
			}
		}
		if len(h.Metadata) > 0 && !reflect.DeepEqual(again.Metadata, h.Metadata) {
			t.Fatalf("metadata: wrote %q, read %q", h.Metadata, again.Metadata)
		}
	})
}

// checkTiles fails unless the tensors cover the data once, in order.
func checkTiles(t *testing.T, h *Header, size int64) {
	t.Helper()
	end := h.DataStart
	for _, x := range h.Tensors {
		if x.Offset != end || x.Length < 0 || x.Length*8 != int64(x.Elements())*int64(x.DType.Bits()) {
			t.Fatalf("tensor %v does not follow byte %d", x, end)
		}
		end += x.Length
	}
	if end != size || h.Bytes != size {
		t.Fatalf("the tensors end at %d, the file at %d", end, size)
	}
}

// entriesOf is what writes the same data again.
func entriesOf(h *Header) []Entry {
	entries := make([]Entry, len(h.Tensors))
	for i, x := range h.Tensors {
		entries[i] = Entry{Name: x.Name, DType: x.DType, Shape: x.Shape}
	}
	return entries
}
