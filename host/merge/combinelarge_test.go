package merge_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/merge"
)

// largeShapes is a weight that is computed in several parts, the last of them shorter.
var largeShapes = map[string][2]int{"model.layers.0.mlp.down_proj": {1500, 401}}

// newLarge binds adapters of a weight of several parts to a base of zeros.
func newLarge(t *testing.T, weights ...float64) []merge.Portion {
	t.Helper()
	b, err := base.Open(zeros(t, largeShapes))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	random := rand.New(rand.NewPCG(9, 9))
	normal := func(n int) []float32 {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(random.NormFloat64())
		}
		return values
	}
	var portions []merge.Portion
	for _, weight := range weights {
		a := combinedAdapter{Rank: 3, Alpha: 6}
		a.Factors = map[string]struct {
			A []float32 `json:"a"`
			B []float32 `json:"b"`
		}{}
		for name, shape := range largeShapes {
			f := a.Factors[name]
			f.A, f.B = normal(3*shape[1]), normal(3*shape[0])
			clear(f.B[:3*200]) // so that many entries are equal
			a.Factors[name] = f
		}
		binding, err := adapter.Load(a.write(t, largeShapes), b)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { binding.Close() })
		portions = append(portions, merge.Portion{Binding: binding, Scale: weight})
	}
	return portions
}

// mergedLarge is the merged weight: the change, since the base is zero.
func mergedLarge(t *testing.T, portions []merge.Portion, m merge.Mixture) []float32 {
	t.Helper()
	p, err := merge.Combine(t.Context(), portions, m)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out := filepath.Join(t.TempDir(), "merged")
	if _, err := p.Write(t.Context(), newClient(t, p), merge.Output{Gate: admitted, Dir: out}); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return floatsOf(tensorBytes(t, file, "model.layers.0.mlp.down_proj.weight"))
}

// TestPruneParts prunes a weight that is computed in parts: exactly so many entries stay, the largest, as they were.
func TestPruneParts(t *testing.T) {
	portions := newLarge(t, 1)
	whole := mergedLarge(t, portions, merge.Mixture{})
	for _, density := range []float64{0.1, 0.5, 0.9} {
		pruned := mergedLarge(t, portions, merge.Mixture{Method: merge.MagnitudePrune, Density: density})
		kept, least, most := 0, math.Inf(1), 0.
		for i, v := range pruned {
			size := math.Abs(float64(whole[i]))
			switch v {
			case 0:
				most = max(most, size)
			case whole[i]:
				kept, least = kept+1, min(least, size)
			default:
				t.Fatalf("entry %d is %v, and was %v", i, v, whole[i])
			}
		}
		nonzero := len(whole) - len(whole)*200/1500
		if want := min(int(density*float64(len(whole))), nonzero); kept != want || least < most {
			t.Errorf("density %v: %d entries stay, want %d; the least is %v, and %v was left out", density, kept, want, least, most)
		}
	}
	drawn := mergedLarge(t, portions, merge.Mixture{Method: merge.DARELinear, Density: 0.5, Seed: 3})
	for i, v := range drawn {
		if v != 0 && v != 2*whole[i] {
			t.Fatalf("entry %d is %v, and was %v", i, v, whole[i])
		}
	}
}

// TestCombineOnAnyNumberOfProcessors: the same plan, and so the same bytes.
func TestCombineOnAnyNumberOfProcessors(t *testing.T) {
	portions := newLarge(t, 0.7, -0.4, 1.5)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, method := range merge.Methods {
		t.Run(string(method), func(t *testing.T) {
			var digests []string
			for _, n := range []int{1, 3} {
				runtime.GOMAXPROCS(n)
				p, err := merge.Combine(t.Context(), portions, merge.Mixture{Method: method, Rank: 4})
				if err != nil {
					t.Fatal(err)
				}
				digests = append(digests, fmt.Sprintf("%x", p.Digest))
				p.Close()
			}
			if digests = slices.Compact(digests); len(digests) != 1 {
				t.Errorf("digests %v", digests)
			}
		})
	}
}
