package gguf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestRefusals(t *testing.T) {
	number := func(n uint32) raw { return head(0, 1).pair("k", ValueType(n)) }
	nested := head(0, 1).pair("k", Array)
	for range 5 {
		nested = nested.u32(uint32(Array)).u64(1)
	}
	one := func(t Type, sizes ...uint64) raw { return head(1, 0).tensor("t", t, 0, sizes...).pad(32) }
	tests := []struct {
		name string
		file raw
		want []fault.Code
	}{
		{"empty", nil, []fault.Code{fault.GGMagic}},
		{"text", raw("hello, this is no model at all"), []fault.Code{fault.GGMagic}},
		{"zip", raw("PK\x03\x04").zeros(100), []fault.Code{fault.GGMagic}},
		{"big-endian magic", raw("FUGG").zeros(100), []fault.Code{fault.GGMagic}},
		{"only the magic", raw(magic), []fault.Code{fault.GGShort}},
		{"no counts", raw(magic).u32(3).u64(0), []fault.Code{fault.GGShort}},
		{"2^60 tensors", head(1<<60, 0).zeros(100), []fault.Code{fault.GGLimit}},
		{"2^60 keys", head(0, 1<<60).zeros(100), []fault.Code{fault.GGLimit}},
		{"more tensors than bytes", head(60_000, 0).zeros(100), []fault.Code{fault.GGTrunc}},
		{"no tensor follows", head(1, 0).u64(40).zeros(12), []fault.Code{fault.GGTrunc}},
		{"empty key", head(0, 1).pair("", Uint8).bytes(0), []fault.Code{fault.GGKey}},
		{"long key", head(0, 1).text(strings.Repeat("k", 65_536)).u32(0).bytes(0), []fault.Code{fault.GGKey}},
		{"key beyond the file", head(0, 1).u64(1000).zeros(20), []fault.Code{fault.GGTrunc}},
		{"key of 2^63", head(0, 1).u64(1 << 63).zeros(20), []fault.Code{fault.GGKey}},
		{"key is not UTF-8", head(0, 1).pair("\xff", Uint8).bytes(0), []fault.Code{fault.GGKey}},
		{"key with a newline", head(0, 1).pair("a\nb", Uint8).bytes(0), []fault.Code{fault.GGKey}},
		{"key twice", head(0, 2).pair("a", Uint8).bytes(0).pair("a", Bool).bytes(1), []fault.Code{fault.GGDup}},
		{"no value", head(0, 1).pair("abcdefgh", Uint64).bytes(1), []fault.Code{fault.GGTrunc}},
		{"value type 13", number(13).zeros(20), []fault.Code{fault.GGValue}},
		{"value type 2^32-1", number(math.MaxUint32).zeros(20), []fault.Code{fault.GGValue}},
		{"bool of 2", number(uint32(Bool)).bytes(2), []fault.Code{fault.GGValue}},
		{"string beyond the file", number(uint32(String)).u64(math.MaxUint64), []fault.Code{fault.GGTrunc}},
		{"array of type 13", number(uint32(Array)).u32(13).u64(0), []fault.Code{fault.GGValue}},
		{"array of 2^64-1 bytes", number(uint32(Array)).u32(0).u64(math.MaxUint64), []fault.Code{fault.GGTrunc}},
		{"array of 2^61 u64", number(uint32(Array)).u32(uint32(Uint64)).u64(1 << 61), []fault.Code{fault.GGTrunc}},
		{"array of 2^64-1 strings", number(uint32(Array)).u32(uint32(String)).u64(math.MaxUint64), []fault.Code{fault.GGTrunc}},
		{"array of short strings", number(uint32(Array)).u32(uint32(String)).u64(3).text("a").text("b"), []fault.Code{fault.GGTrunc}},
		{"array of a bool of 3", number(uint32(Array)).u32(uint32(Bool)).u64(2).bytes(1, 3), []fault.Code{fault.GGValue}},
		{"arrays 5 deep", nested.zeros(20), []fault.Code{fault.GGValue}},
		{"alignment 0", head(0, 1).pair(AlignmentKey, Uint32).u32(0), []fault.Code{fault.GGAlignment}},
		{"alignment 48", head(0, 1).pair(AlignmentKey, Uint32).u32(48), []fault.Code{fault.GGAlignment}},
		{"alignment 4", head(0, 1).pair(AlignmentKey, Uint32).u32(4), []fault.Code{fault.GGAlignment}},
		{"alignment 2^31", head(0, 1).pair(AlignmentKey, Uint32).u32(1 << 31), []fault.Code{fault.GGAlignment}},
		{"alignment is a u64", head(0, 1).pair(AlignmentKey, Uint64).u64(32), []fault.Code{fault.GGAlignment}},
		{"tensor without a name", head(1, 0).tensor("", F32, 0, 1).zeros(64), []fault.Code{fault.GGName}},
		{"name of 64 bytes", head(1, 0).tensor(strings.Repeat("n", 64), F32, 0, 1).zeros(64), []fault.Code{fault.GGName}},
		{"name with an escape", head(1, 0).tensor("\x1b[2J", F32, 0, 1).zeros(64), []fault.Code{fault.GGName}},
		{"five axes", one(F32, 1, 1, 1, 1, 1).zeros(32), []fault.Code{fault.GGShape}},
		{"2^32-1 axes", head(1, 0).text("t").u32(math.MaxUint32).zeros(64), []fault.Code{fault.GGShape}},
		{"axis of 0", one(F32, 4, 0).zeros(32), []fault.Code{fault.GGShape}},
		{"axis of 2^63", one(F32, 1<<63).zeros(32), []fault.Code{fault.GGShape}},
		{"product overflows", one(F32, 1<<40, 1<<40).zeros(32), []fault.Code{fault.GGShape}},
		{"product of bytes overflows", one(28, 1<<60).zeros(32), []fault.Code{fault.GGShape}},
		{"half a block", one(Q8_0, 16, 2).zeros(34), []fault.Code{fault.GGShape}},
		{"no axes of a quantised type", one(Q8_0).zeros(34), []fault.Code{fault.GGShape}},
		{"type 4, which was removed", one(4, 32).zeros(32), []fault.Code{fault.GGType}},
		{"type 2^32-1", one(math.MaxUint32, 32).zeros(32), []fault.Code{fault.GGType}},
		{"tensor twice", head(2, 0).tensor("t", F32, 0, 1).tensor("t", F32, 32, 1).zeros(64), []fault.Code{fault.GGDup}},
		{"offset is not aligned", head(1, 0).tensor("t", F32, 4, 1).zeros(64), []fault.Code{fault.GGOffset}},
		{"offset 2^63", head(1, 0).tensor("t", F32, 1<<63, 1).zeros(64), []fault.Code{fault.GGOffset}},
		{"hole at the start", head(1, 0).tensor("t", F32, 32, 1).zeros(128), []fault.Code{fault.GGOffset}},
		{"hole", head(2, 0).tensor("t", F32, 0, 1).tensor("u", F32, 64, 1).zeros(128), []fault.Code{fault.GGOffset}},
		{"overlap", head(2, 0).tensor("t", F32, 0, 16).tensor("u", F32, 32, 1).zeros(128), []fault.Code{fault.GGOffset}},
		{"the same bytes", head(2, 0).tensor("t", F32, 0, 1).tensor("u", F32, 0, 1).zeros(128), []fault.Code{fault.GGOffset}},
		{"another order", head(2, 0).tensor("t", F32, 32, 1).tensor("u", F32, 0, 1).zeros(128), []fault.Code{fault.GGOffset}},
		{"beyond the end", one(F32, 4).zeros(15), []fault.Code{fault.GGEOF}},
		{"far beyond the end", one(F32, 1<<50).zeros(15), []fault.Code{fault.GGEOF}},
		{"no padding before the data", head(1, 0).tensor("t", F32, 0, 1), []fault.Code{fault.GGEOF}},
		{"trailing bytes", one(F32, 1).zeros(33), []fault.Code{fault.GGTrail}},
		{"trailing bytes without a tensor", head(0, 0).pad(32).zeros(1), []fault.Code{fault.GGTrail}},
		{"one of two parts", head(0, 1).pair(splitCountKey, Uint16).bytes(2, 0), []fault.Code{fault.GGSplit}},
		{"everything of a kind",
			head(4, 2).pair("a", Uint8).bytes(0).pair("a", Uint8).bytes(0).tensor("t", 4, 0, 1).tensor("t", F32, 0, 1).tensor("u", F32, 0, 0).
				tensor("v", Q4_K, 0, 255).zeros(100), []fault.Code{fault.GGDup, fault.GGDup, fault.GGShape, fault.GGShape, fault.GGType}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(test.file)
			wantCodes(t, err, test.want...)
		})
	}
}

// TestSplitNames refuses the parts of a model by their names alone.
func TestSplitNames(t *testing.T) {
	b := head(0, 0)
	for name, split := range map[string]bool{
		"m-00001-of-00002.gguf": true, "dir/m-00002-of-00010.gguf": true, "m-00001-of-00001.gguf": false, "m.gguf": false, "00001-of-00002.gguf": false,
	} {
		_, err := ReadHeader(name, bytes.NewReader(b), int64(len(b)), BaseLimits)
		if split {
			wantCodes(t, err, fault.GGSplit)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	b := head(2, 2).pair("a", String).text(strings.Repeat("x", 1000)).pair("b", Uint8).bytes(0).tensor("t", F32, 0, 1).tensor("u", F32, 32, 1).pad(32).zeros(64)
	size := int64(len(b))
	tests := []struct {
		name   string
		limits Limits
		want   []fault.Code
	}{
		{"none", Limits{}, nil},
		{"just enough", Limits{HeaderBytes: size, FileBytes: size, Tensors: 2, Pairs: 2}, nil},
		{"file", Limits{FileBytes: size - 1}, []fault.Code{fault.GGLimit}},
		{"tensors", Limits{Tensors: 1}, []fault.Code{fault.GGLimit}},
		{"pairs", Limits{Pairs: 1}, []fault.Code{fault.GGLimit}},
		{"head", Limits{HeaderBytes: 1000}, []fault.Code{fault.GGLimit}},
		{"head, in the fixed part", Limits{HeaderBytes: 10}, []fault.Code{fault.GGLimit}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ReadHeader("x", bytes.NewReader(b), size, test.limits)
			wantCodes(t, err, test.want...)
		})
	}
}

// TestNothingIsAllocatedForAClaim gives a reader of a huge file that claims much, and reads as zeros.
func TestNothingIsAllocatedForAClaim(t *testing.T) {
	claims := map[string]raw{
		"key":             head(0, 1).u64(60_000).zeros(8),
		"string":          head(0, 1).pair("k", String).u64(1 << 40),
		"array":           head(0, 1).pair("k", Array).u32(uint32(Float64)).u64(1 << 40),
		"array of arrays": head(0, 1).pair("k", Array).u32(uint32(Array)).u64(1 << 40),
		"strings":         head(0, 1).pair("k", Array).u32(uint32(String)).u64(1 << 40),
		"tensors":         head(65_536, 4096),
	}
	for name, start := range claims {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			limits := AdapterLimits
			limits.FileBytes, limits.HeaderBytes = 0, 1<<20
			if _, err := ReadHeader("x", &headOnly{start, 1 << 45}, 1<<45, limits); err == nil {
				t.Error("it was accepted")
			}
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
				t.Errorf("it took %d bytes", allocated)
			}
		})
	}
}

// broken fails to read.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("broken") }

func TestFailingReader(t *testing.T) {
	_, err := ReadHeader("x", broken{}, 100, BaseLimits)
	wantCodes(t, err, fault.IORead)
	b := head(1, 0).tensor("t", F32, 0, 4).pad(32).zeros(16)
	_, err = ReadHeader("x", bytes.NewReader(b[:40]), int64(len(b)), BaseLimits)
	wantCodes(t, err, fault.GGChanged)
}

func TestFaultsAreBounded(t *testing.T) {
	b := head(1000, 0)
	for i := range 1000 {
		b = b.tensor(fmt.Sprint(i), 4, 0, 1)
	}
	if _, err := read(b); len(fault.All(err)) != maxFaults {
		t.Errorf("%d faults, want %d", len(fault.All(err)), maxFaults)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.gguf")
	b := head(1, 0).tensor("t", F32, 0, 2).pad(32).bytes(1, 2, 3, 4, 5, 6, 7, 8)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := f.Tensor("t")
	if got, err := f.Read(x); err != nil || !reflect.DeepEqual(got, []byte{1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("%v, %v", got, err)
	}
	if f.Name() != path || f.Size() != int64(len(b)) || f.Os() == nil {
		t.Errorf("%q of %d bytes", f.Name(), f.Size())
	}
	if err := os.Truncate(path, int64(len(b))-1); err != nil {
		t.Fatal(err)
	}
	_, err = f.Read(x)
	wantCodes(t, err, fault.GGChanged)
	_, err = f.Floats(x).ReadAt(make([]byte, 8), 0)
	wantCodes(t, err, fault.GGChanged)
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	if err := os.Symlink(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path + "2")
	wantCodes(t, err, fault.IOFileType)
	_, err = Open(dir)
	wantCodes(t, err, fault.IOFileType)
	_, err = Open(path + "3")
	wantCodes(t, err, fault.IONotFound)
	_, err = Open(path)
	wantCodes(t, err, fault.GGEOF)
	var _ io.ReaderAt = f
}
