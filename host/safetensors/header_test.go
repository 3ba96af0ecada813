package safetensors

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestReadHeader(t *testing.T) {
	tests := []struct {
		name     string
		header   string
		data     int
		tensors  []string // name dtype shape offset length, by offset from the start of the data
		metadata map[string]string
	}{
		{"no tensors", `{}`, 0, nil, nil},
		{"padding", `{}      `, 0, nil, nil},
		{"white space", "{ \"t\" :\t{\n" + good + "\r}} ", 4, []string{"t F32 [1] 0 4"}, nil},
		{"only metadata", `{"__metadata__":{"format":"pt"}}`, 0, nil, map[string]string{"format": "pt"}},
		{"empty metadata", `{"__metadata__":{}}`, 0, nil, map[string]string{}},
		{"scalar", one(`"dtype":"F64","shape":[],"data_offsets":[0,8]`), 8, []string{"t F64 [] 0 8"}, nil},
		{"empty tensors at both ends", `{"z":{"dtype":"F32","shape":[2,0],"data_offsets":[4,4]},"t":{` + good +
			`},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 4, []string{"a U8 [0] 0 0", "t F32 [1] 0 4", "z F32 [2 0] 4 0"}, nil},
		{"keys in another order",
			`{"b":{"data_offsets":[2,4],"shape":[2],"dtype":"U8"},"a":{"shape":[1],"dtype":"BF16","data_offsets":[0,2]}}`, 4,
			[]string{"a BF16 [1] 0 2", "b U8 [2] 2 2"}, nil},
		{"sub-byte types that fill bytes",
			`{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]},"b":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[1,4]}}`,
			4, []string{"a F4 [2] 0 1", "b F6_E3M2 [4] 1 3"}, nil},
		{"escapes", `{"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t":{` + good + `}}`, 4, []string{"é😀\"\\/\b\f\n\r\t F32 [1] 0 4"}, nil},
		{"64 axes", one(`"dtype":"U8","shape":[1` + strings.Repeat(",1", 63) + `],"data_offsets":[0,1]`), 1,
			[]string{"t U8 [1" + strings.Repeat(" 1", 63) + "] 0 1"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			raw := file(test.header, test.data)
			h, err := ReadHeader("x", bytes.NewReader(raw), int64(len(raw)), DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range h.Tensors {
				got = append(got, fmt.Sprint(x.Name, " ", x.DType, " ", x.Shape, " ", x.Offset-h.DataStart, " ", x.Length))
				if found, ok := h.Tensor(x.Name); !ok || !reflect.DeepEqual(found, x) {
					t.Errorf("Tensor(%q) = %v, %v", x.Name, found, ok)
				}
			}
			if !reflect.DeepEqual(got, test.tensors) {
				t.Errorf("tensors\n got %q\nwant %q", got, test.tensors)
			}
			if !reflect.DeepEqual(h.Metadata, test.metadata) {
				t.Errorf("metadata: got %q, want %q", h.Metadata, test.metadata)
			}
			if h.Bytes != int64(len(raw)) || h.DataStart != int64(8+len(test.header)) {
				t.Errorf("size %d, data at %d", h.Bytes, h.DataStart)
			}
			if _, ok := h.Tensor("absent"); ok {
				t.Error("a tensor that is not there was found")
			}
		})
	}
}

// TestEveryDType reads each dtype of the format.
func TestEveryDType(t *testing.T) {
	for d := tensor.Bool; d <= tensor.F6E3M2; d++ {
		raw := file(one(fmt.Sprintf(`"dtype":"%v","shape":[8],"data_offsets":[0,%d]`, d, d.Bits())), d.Bits())
		h, err := ReadHeader("x", bytes.NewReader(raw), int64(len(raw)), DefaultLimits)
		if err != nil || h.Tensors[0].DType != d {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// sharedModels are the safetensors files that lie beside the repository, where it has them.
func sharedModels(t testing.TB) []string {
	var paths []string
	for _, pattern := range []string{"*/base/*", "*/adapter/*", "*/adapters/*/*", "real/*/*"} {
		found, err := filepath.Glob(filepath.Join("../../../shared/models", pattern+".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// TestRealFiles reads what people publish: all of it is valid, but for the pointer.
func TestRealFiles(t *testing.T) {
	paths := sharedModels(t)
	if len(paths) == 0 {
		t.Skip("../shared/models is absent: no real files to read")
	}
	for _, path := range paths {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			h, err := ReadHeader(path, bytes.NewReader(raw), int64(len(raw)), DefaultLimits)
			if strings.Contains(path, "lfs-pointer") {
				if list := fault.All(err); len(list) != 1 || list[0].Code != fault.STLFSPointer {
					t.Errorf("got %v, want %s", err, fault.STLFSPointer)
				}
				return
			}
			if err != nil || len(h.Tensors) == 0 {
				t.Errorf("%d tensors: %v", len(h.Tensors), err)
			}
		})
	}
}

// TestNothingIsAllocatedForAClaim gives a reader of a huge file that holds nothing but a length.
func TestNothingIsAllocatedForAClaim(t *testing.T) {
	for _, length := range []uint64{math.MaxUint64, math.MaxInt64, 1 << 40, 100_000_001, 100_000_000} {
		head := lengthField(length, "{")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := ReadHeader("x", bytes.NewReader(head), int64(len(head)), BaseLimits); err == nil {
			t.Errorf("a length of %d was accepted", length)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
			t.Errorf("a length of %d took %d bytes", length, allocated)
		}
	}
}

func TestSparseFile(t *testing.T) {
	_, err := ReadHeader("x", bytes.NewReader(make([]byte, 16)), 1<<40, DefaultLimits)
	if list := fault.All(err); len(list) != 1 || list[0].Code != fault.STTooLarge {
		t.Errorf("a file of 1 TiB: got %v, want %s", err, fault.STTooLarge)
	}
	_, err = ReadHeader("x", bytes.NewReader(make([]byte, 512)), 1<<40, BaseLimits)
	if list := fault.All(err); len(list) != 1 || list[0].Code != fault.STHdrSmall {
		t.Errorf("a base of 1 TiB of zeros: got %v, want %s", err, fault.STHdrSmall)
	}
}

func TestShrinkWhileReading(t *testing.T) {
	whole := file(one(good), 4)
	for _, cut := range []int{4, 20} {
		_, err := ReadHeader("x", bytes.NewReader(whole[:cut]), int64(len(whole)), DefaultLimits)
		if list := fault.All(err); len(list) != 1 || list[0].Code != fault.STChanged {
			t.Errorf("cut at %d: got %v, want %s", cut, err, fault.STChanged)
		}
	}
}

func TestFaultsOfMeaningComeTogether(t *testing.T) {
	header := `{"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,8]},` +
		`"b":{"dtype":"F32","shape":[1],"data_offsets":[9,13]},"c":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}`
	b := file(header, 17)
	_, err := ReadHeader("x", bytes.NewReader(b), int64(len(b)), DefaultLimits)
	got := map[fault.Code]int{}
	for _, e := range fault.All(err) {
		got[e.Code]++
	}
	for _, code := range []fault.Code{fault.STDType, fault.STSize, fault.STDup, fault.STHole, fault.STOverlap, fault.STTrail} {
		if got[code] != 1 {
			t.Errorf("%s came %d times, want once: %v", code, got[code], err)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `,"%d":{"dtype":"X","shape":[0],"data_offsets":[0,0]}`, i)
	}
	raw := file("{"+b.String()[1:]+"}", 0)
	_, err := ReadHeader("x", bytes.NewReader(raw), int64(len(raw)), DefaultLimits)
	if n := len(fault.All(err)); n != maxFaults {
		t.Errorf("got %d faults, want %d", n, maxFaults)
	}
}
