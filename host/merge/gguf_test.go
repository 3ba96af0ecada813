package merge_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/merge"
)

// TestWriteGGUF merges every type, in its own and in others, and holds every byte of the outcome against the rule.
func TestWriteGGUF(t *testing.T) {
	for _, test := range []struct {
		dtype string
		names []string
		to    map[string]gguf.Type // where it is not the tensor's own
	}{
		{"keep", ggufKept, nil},
		{"", ggufKept[:1], nil},
		{"q8_0", append(ggufKept, ggufQuantized...), all(gguf.Q8_0)},
		{"f16", append(ggufKept, ggufQuantized...), all(gguf.F16)},
		{"bf16", append(ggufKept, ggufQuantized...), all(gguf.BF16)},
		{"f32", append(ggufKept, ggufQuantized...), all(gguf.F32)},
	} {
		t.Run("dtype "+test.dtype, func(t *testing.T) {
			model, lora := smallGGUF(t, test.names, 0.05)
			out := filepath.Join(t.TempDir(), "merged.gguf")
			var mu sync.Mutex
			var furthest merge.Progress
			progress := func(p merge.Progress) {
				mu.Lock()
				defer mu.Unlock()
				if p.Done > furthest.Done {
					furthest = p
				}
			}
			receipt, err := planGGUF(t, model, lora).WriteGGUF(context.Background(),
				merge.GGUFOutput{Path: out, DType: test.dtype, Gate: overridden, Progress: progress})
			if err != nil {
				t.Fatal(err)
			}
			if furthest.Done != furthest.Total || furthest.Total == 0 {
				t.Errorf("the progress ends at %+v", furthest)
			}
			from, factors, to := openGGUF(t, model), openGGUF(t, lora), openGGUF(t, out)
			if !slices.EqualFunc(from.Pairs, to.Pairs, func(a, b gguf.Pair) bool { return a.Key == b.Key && a.Type == b.Type && bytes.Equal(a.Raw, b.Raw) }) {
				t.Error("the keys are others")
			}
			if len(from.Tensors) != len(to.Tensors) {
				t.Fatalf("%d tensors of %d", len(to.Tensors), len(from.Tensors))
			}
			for i, x := range to.Tensors {
				before := from.Tensors[i]
				want, err := from.Read(before)
				if err != nil {
					t.Fatal(err)
				}
				kind := before.Type
				if slices.Contains(test.names, x.Name) {
					if other, ok := test.to[x.Name]; ok {
						kind = other
					}
					want = make([]byte, x.Length)
					if err := gguf.EncodeRow(want, mergedByRule(t, from, factors, x.Name), kind); err != nil {
						t.Fatal(err)
					}
				}
				got, err := to.Read(x)
				if err != nil {
					t.Fatal(err)
				}
				if x.Name != before.Name || x.Type != kind || !slices.Equal(x.Shape, before.Shape) || !bytes.Equal(got, want) {
					t.Errorf("%s of %v: other bytes than the rule's, in %v", x.Name, kind, x.Type)
				}
			}
			checkGGUFReceipt(t, receipt, out, len(test.names))
		})
	}
}

func all(kind gguf.Type) map[string]gguf.Type {
	to := map[string]gguf.Type{}
	for _, x := range ggufModel {
		to[x.Name] = kind
	}
	return to
}

// checkGGUFReceipt reads the receipt that lies beside the file, and verifies.
func checkGGUFReceipt(t *testing.T, receipt *merge.Receipt, out string, merged int) {
	t.Helper()
	text, err := os.ReadFile(merge.GGUFReceiptPath(out))
	want, marshalErr := receipt.Marshal()
	if err != nil || marshalErr != nil || !bytes.Equal(text, want) {
		t.Errorf("the receipt is not the one returned: %v, %v", err, marshalErr)
	}
	if _, err := merge.Verify(context.Background(), out); err != nil {
		t.Errorf("verify: %v", err)
	}
	for _, x := range receipt.Tensors {
		if !x.Merged {
			continue
		}
		merged--
		r := x.Rounding
		if r == nil || x.Stored == "" || x.Changed == 0 || !(r.Gain > 0.9 && r.Gain < 1.1) || !(r.Error >= 0 && r.Error < 0.2) || !(r.Max >= 0 && r.Max < 0.02) {
			t.Errorf("%s: %+v, %+v", x.Name, x, r)
		}
		if x.Stored == "F32" && (r.Gain != 1 || r.Error != 0 || r.Max != 0) {
			t.Errorf("%s in F32: %+v", x.Name, r)
		}
	}
	if merged != 0 {
		t.Errorf("%d merged tensors are missing", merged)
	}
	checkKept(t, receipt)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// checkKept holds what is told of the types against the tensors.
func checkKept(t *testing.T, receipt *merge.Receipt) {
	t.Helper()
	kept := receipt.Kept()
	if len(kept) == 0 || !slices.IsSortedFunc(kept, func(a, b merge.Kept) int { return strings.Compare(a.Stored, b.Stored) }) {
		t.Errorf("kept: %+v", kept)
	}
	for _, k := range kept {
		n, least, most := 0, math.Inf(1), 0.0
		for _, x := range receipt.Tensors {
			if x.Stored == k.Stored {
				n, least, most = n+1, min(least, float64(x.Rounding.Gain)), max(most, float64(x.Rounding.Max))
				if x.Name == k.Least && float64(x.Rounding.Gain) != k.Gain {
					t.Errorf("%s keeps %v, not %v", x.Name, x.Rounding.Gain, k.Gain)
				}
			}
		}
		if n != k.Tensors || n == 0 || least != k.Gain || most != k.Max {
			t.Errorf("%+v of %d tensors, least %v, error %v", k, n, least, most)
		}
	}
}

// TestWriteGGUFIsDeterministic merges with one processor and with several.
func TestWriteGGUFIsDeterministic(t *testing.T) {
	model, lora := smallGGUF(t, ggufKept, 0.05)
	var files [2][2][]byte
	for i, processors := range []int{1, 4} {
		before := runtime.GOMAXPROCS(processors)
		out := filepath.Join(t.TempDir(), "merged.gguf")
		_, err := planGGUF(t, model, lora).WriteGGUF(context.Background(), merge.GGUFOutput{Path: out, Gate: overridden})
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		for j, path := range []string{out, merge.GGUFReceiptPath(out)} {
			if files[i][j], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !bytes.Equal(files[0][0], files[1][0]) || !bytes.Equal(files[0][1], files[1][1]) {
		t.Error("the bytes depend on the number of processors")
	}
}
