package tensor

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// nearest finds the 16-bit value nearest to f by search over all of them, ties to even: the definition, not the algorithm.
func nearest(f float64, widen func(uint16) float32, maxFinite uint16) uint16 {
	best, bestDistance := uint16(0), math.Inf(1)
	for h := uint16(0); h <= maxFinite; h++ {
		distance := math.Abs(float64(widen(h)) - math.Abs(f))
		if distance < bestDistance || distance == bestDistance && h&1 == 0 {
			best, bestDistance = h, distance
		}
	}
	step := float64(widen(maxFinite)) - float64(widen(maxFinite-1))
	if math.Abs(f) >= float64(widen(maxFinite))+step/2 {
		best = maxFinite + 1
	}
	if math.Signbit(f) {
		best |= 0x8000
	}
	return best
}

func TestHalfPrecisionRoundsOnce(t *testing.T) {
	cases := []float64{
		0, math.Copysign(0, -1), 1, -1, 1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-40, 1 + 3*0x1p-8, 65504, 65519.99, 65520, 1e30, -1e-8,
		0x1p-14, 0x1p-15, 0x1p-24, 0x1p-25, 0x1p-25 + 0x1p-60, 3 * 0x1p-25, 0x1p-126, 0x1p-133, 0x1p-134, 3 * 0x1p-135,
		math.MaxFloat32, 3.3895313892515355e38, 3.3961775292304957e38, 0.1, -math.Pi, 1 + 0x1p-11, 1 + 0x1p-11 + 0x1p-50,
	}
	for _, f := range cases {
		if got, want := F64ToBF16(f), nearest(f, BF16ToF32, 0x7f7f); got != want {
			t.Errorf("F64ToBF16(%g) = %#04x, want %#04x", f, got, want)
		}
		if got, want := F64ToF16(f), nearest(f, F16ToF32, 0x7bff); got != want {
			t.Errorf("F64ToF16(%g) = %#04x, want %#04x", f, got, want)
		}
		single := float32(f)
		if got, want := F32ToBF16(single), nearest(float64(single), BF16ToF32, 0x7f7f); got != want && !math.IsInf(float64(single), 0) {
			t.Errorf("F32ToBF16(%g) = %#04x, want %#04x", single, got, want)
		}
		if got, want := F32ToF16(single), nearest(float64(single), F16ToF32, 0x7bff); got != want && !math.IsInf(float64(single), 0) {
			t.Errorf("F32ToF16(%g) = %#04x, want %#04x", single, got, want)
		}
	}
}

// One rounding of an f64 is what numpy and torch agree on: golden_diag.json beside the repository.
func TestBF16Reference(t *testing.T) {
	file := filepath.Join("..", "..", "..", "shared", "reference", "golden_diag.json")
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		t.Skipf("skipped: no reference values: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases [][2]json.RawMessage `json:"bf16"`
	}
	quoted := strings.NewReplacer("-Infinity", `"-Infinity"`, "Infinity", `"Infinity"`, "NaN", `"NaN"`) // Python writes them bare
	if err := json.Unmarshal([]byte(quoted.Replace(string(text))), &golden); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(golden.Cases) == 0 {
		t.Fatalf("%s has no values of bf16", file)
	}
	for _, c := range golden.Cases {
		var pair [2]float64
		for i, raw := range c {
			if pair[i], err = strconv.ParseFloat(strings.Trim(string(raw), `"`), 64); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
		if got := float64(BF16ToF32(F64ToBF16(pair[0]))); got != pair[1] {
			t.Errorf("%g rounds to %g, want %g", pair[0], got, pair[1])
		}
	}
}

func TestHalfPrecisionRoundTrips(t *testing.T) {
	for h := 0; h <= 0xffff; h++ {
		bits := uint16(h)
		if f := BF16ToF32(bits); f == f && F32ToBF16(f) != bits {
			t.Fatalf("bf16 %#04x came back as %#04x", bits, F32ToBF16(f))
		}
		if f := F16ToF32(bits); f == f && F32ToF16(f) != bits {
			t.Fatalf("f16 %#04x came back as %#04x", bits, F32ToF16(f))
		}
	}
	for name, back := range map[string]float32{"bf16": BF16ToF32(F32ToBF16(float32(math.NaN()))), "f16": F16ToF32(F32ToF16(float32(math.NaN())))} {
		if back == back {
			t.Errorf("NaN became %g in %s", back, name)
		}
	}
}

func TestConversionsRefuse(t *testing.T) {
	for _, c := range []struct {
		name     string
		elements int
		bytes    int
		dtype    DType
	}{{"short", 2, 3, BF16}, {"long", 2, 5, F16}, {"integers", 1, 8, I64}, {"sub-byte", 2, 1, F4}} {
		t.Run(c.name, func(t *testing.T) {
			if ToF32(make([]float32, c.elements), make([]byte, c.bytes), c.dtype) == nil {
				t.Error("ToF32 accepted it")
			}
			if ToF64(make([]float64, c.elements), make([]byte, c.bytes), c.dtype) == nil {
				t.Error("ToF64 accepted it")
			}
		})
	}
}

func TestDTypeNames(t *testing.T) {
	for d := Bool; d <= F6E3M2; d++ {
		if back, ok := ParseDType(d.String()); !ok || back != d {
			t.Errorf("%v parses as %v, %v", d, back, ok)
		}
	}
	for _, name := range []string{"", "INVALID", "bf16", "F128"} {
		if _, ok := ParseDType(name); ok {
			t.Errorf("%q parsed", name)
		}
	}
}
