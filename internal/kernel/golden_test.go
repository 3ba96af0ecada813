package kernel

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// sequence fills n elements of dtype from a linear congruential generator: 24-bit integers times 2^-shift, small enough to port by hand.
func sequence(dtype tensor.DType, n int, seed uint32, shift int) []byte {
	values := make([]float64, n)
	for i := range values {
		seed = seed*1664525 + 1013904223
		values[i] = math.Ldexp(float64(int32(seed)>>8), -shift)
	}
	return encode(dtype, values...)
}

// TestGoldenSequences pins bits: a 24 x 40 weight from seed 1 at shift 27, A from seed 2 at 25, B from seed 3 at 26, scale 1.25. The
// digests were confirmed with a C program that uses fmaf.
func TestGoldenSequences(t *testing.T) {
	const out, in = 24, 40
	for _, c := range []struct {
		weight, factors tensor.DType
		rank            int
		fan             bool
		sha256          string
	}{
		{tensor.BF16, tensor.F32, 5, false, "5271f6f5acc920f1027710529d6c65037ee8dc932d176f5bdc92dbc0bcf53648"},
		{tensor.BF16, tensor.BF16, 16, true, "5c233054789eb5a215f9ac4b2ed79f8812eb5b974ff02124fb07258b3f395d56"},
		{tensor.F16, tensor.F16, 8, false, "04df84ee2be3a4181c8b5dca5a157996e4f94556a3f7bec5cc7fa4b2a11b870c"},
		{tensor.F32, tensor.F32, 64, false, "3fe86d52737341d910b26559af44a221d008ca6ba92e3e8ee6ff87d96fba81e5"},
	} {
		t.Run(fmt.Sprintf("%v+%v r=%d fan=%v", c.weight, c.factors, c.rank, c.fan), func(t *testing.T) {
			d := newDelta(t, sequence(c.factors, c.rank*in, 2, 25), c.factors, sequence(c.factors, out*c.rank, 3, 26), c.factors, c.rank, in, out, 1.25, c.fan)
			rows, _ := d.Shape()
			w := sequence(c.weight, out*in, 1, 27)
			if _, err := MergeRows(w, w, c.weight, d, 0, rows); err != nil {
				t.Fatal(err)
			}
			if got := digest(w); got != c.sha256 {
				t.Errorf("sha256 %s, want %s", got, c.sha256)
			}
		})
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// stored is a safetensors file read without any checks: these are our own test files.
type stored map[string]struct {
	DType   tensor.DType `json:"dtype"`
	Shape   []int        `json:"shape"`
	Offsets [2]int       `json:"data_offsets"`
	bytes   []byte
}

func readStored(t *testing.T, path string) stored {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start := 8 + int(binary.LittleEndian.Uint64(file))
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:start], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "__metadata__")
	s := stored{}
	for name, raw := range header {
		entry := s[name]
		if err := json.Unmarshal(raw, &entry); err != nil {
			t.Fatal(err)
		}
		entry.bytes = file[start+entry.Offsets[0] : start+entry.Offsets[1]]
		s[name] = entry
	}
	return s
}

func TestGoldenTinyLlama(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "models", "tiny-llama")
	raw, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Skipf("the shared models are not here: %v", err)
	}
	var golden struct {
		Adapters map[string]struct {
			Scale   float64
			Targets map[string]struct {
				SHA256  string `json:"merged_sha256"`
				Changed int64
			}
		}
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	base := readStored(t, filepath.Join(dir, "base", "model.safetensors"))
	names := make([]string, 0, len(golden.Adapters))
	for name := range golden.Adapters {
		names = append(names, name)
	}
	sort.Strings(names)
	if underRace {
		names = names[:1]
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			want := golden.Adapters[name]
			factors := readStored(t, filepath.Join(dir, "adapters", name, "adapter_model.safetensors"))
			for target, w := range want.Targets {
				module := "base_model.model." + strings.TrimSuffix(target, ".weight")
				a, b, base := factors[module+".lora_A.weight"], factors[module+".lora_B.weight"], base[target]
				d := newDelta(t, a.bytes, a.DType, b.bytes, b.DType, a.Shape[0], a.Shape[1], b.Shape[0], want.Scale, false)
				merged := make([]byte, len(base.bytes))
				counts, err := MergeRows(merged, base.bytes, base.DType, d, 0, base.Shape[0])
				if err != nil {
					t.Fatal(err)
				}
				if got := digest(merged); got != w.SHA256 {
					t.Errorf("%s: sha256 %s, want %s", target, got, w.SHA256)
				}
				if counts != (Counts{Changed: w.Changed}) {
					t.Errorf("%s: %+v, want %d changed", target, counts, w.Changed)
				}
			}
			if len(want.Targets) == 0 {
				t.Error("no targets")
			}
		})
	}
}
