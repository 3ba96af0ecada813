package gguf

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

// raw is a file in the making.
type raw []byte

func (r raw) u32(n uint32) raw      { return binary.LittleEndian.AppendUint32(r, n) }
func (r raw) u64(n uint64) raw      { return binary.LittleEndian.AppendUint64(r, n) }
func (r raw) text(s string) raw     { return appendText(r, s) }
func (r raw) bytes(b ...byte) raw   { return append(r, b...) }
func (r raw) zeros(n int) raw       { return append(r, make([]byte, n)...) }
func (r raw) pad(alignment int) raw { return r.zeros(int(padded(int64(len(r)), alignment)) - len(r)) }

// head begins a file of version 3.
func head(tensors, pairs uint64) raw { return raw(magic).u32(3).u64(tensors).u64(pairs) }

// pair appends a key and the type of its value, which follows.
func (r raw) pair(key string, t ValueType) raw { return r.text(key).u32(uint32(t)) }

// tensor appends a description, sizes in ggml's order.
func (r raw) tensor(name string, t Type, offset uint64, sizes ...uint64) raw {
	r = r.text(name).u32(uint32(len(sizes)))
	for _, n := range sizes {
		r = r.u64(n)
	}
	return r.u32(uint32(t)).u64(offset)
}

func read(b []byte) (*Header, error) {
	return ReadHeader("x.gguf", bytes.NewReader(b), int64(len(b)), AdapterLimits)
}

// codes are those of an error, ascending.
func codes(err error) []fault.Code {
	var list []fault.Code
	for _, e := range fault.All(err) {
		list = append(list, e.Code)
	}
	slices.Sort(list)
	return list
}

func wantCodes(t *testing.T, err error, want ...fault.Code) {
	t.Helper()
	if got := codes(err); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: %v", got, want, err)
	}
	for _, e := range fault.All(err) {
		if e.Remedy == "" {
			t.Errorf("%v has no remedy", e)
		}
	}
}
