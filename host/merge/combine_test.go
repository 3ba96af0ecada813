package merge_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
)

// TestCombineGolden merges three adapters by every method, and holds the checkpoints against what NumPy says of it.
func TestCombineGolden(t *testing.T) {
	golden := readCombined(t)
	portions := golden.portions(t)
	digests := map[[32]byte]string{}
	for _, c := range golden.Cases {
		m := merge.Mixture{Method: c.Method, Density: c.Density, Majority: c.Majority, Seed: c.Seed, Rank: c.Rank}
		t.Run(fmt.Sprintf("%s-%v-%s-%d", c.Method, c.Density, c.Majority, c.Rank), func(t *testing.T) {
			p, err := merge.Combine(t.Context(), portions, m)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if other, twice := digests[p.Digest]; twice {
				t.Errorf("its plan has the digest of %s", other)
			}
			digests[p.Digest] = t.Name()
			client := newClient(t, p)
			staged, err := p.Stage(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "merged")
			receipt, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out})
			if err != nil {
				t.Fatal(err)
			}
			if receipt.Content != merge.DigestString(staged.Content) {
				t.Error("on disk it is something else than in memory")
			}
			if len(receipt.Adapters) != 3 || receipt.Combination == nil || receipt.Combination.Method != c.Method || float64(receipt.Adapters[2].Scale) != -0.5 {
				t.Errorf("the receipt says %+v of %+v", receipt.Combination, receipt.Adapters)
			}
			if _, err := merge.Verify(t.Context(), out); err != nil {
				t.Error(err)
			}
			file, err := os.ReadFile(filepath.Join(out, "model.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.Delta {
				compareDelta(t, name, floatsOf(tensorBytes(t, file, name+".weight")), want)
			}
		})
	}
}

func compareDelta(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	largest := 0.
	for _, v := range want {
		largest = max(largest, math.Abs(v))
	}
	for i, v := range want {
		if math.Abs(float64(got[i])-v) > 1e-6*largest {
			t.Errorf("%s: entry %d is %v, want %v", name, i, got[i], v)
			return
		}
	}
}

// TestCombineOne is linear with one adapter: the very merge of that adapter, by another name.
func TestCombineOne(t *testing.T) {
	golden := readCombined(t)
	portions := golden.portions(t)[:1]
	p, err := merge.Combine(t.Context(), portions, merge.Mixture{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	alone, err := merge.NewPlan(portions[0].Binding, portions[0].Scale)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, p)
	one, err := p.Stage(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	other, err := alone.Stage(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if one.Content != other.Content || p.Digest == alone.Digest {
		t.Errorf("content %x and %x, plans %x and %x", one.Content, other.Content, p.Digest, alone.Digest)
	}
}

// TestCombineRefuses gives what is no combination.
func TestCombineRefuses(t *testing.T) {
	golden := readCombined(t)
	portions := golden.portions(t)
	other := golden.portions(t)
	small, large := slices.Clone(portions), slices.Clone(portions)
	small[1].Scale, large[2].Scale = 0, math.Inf(1)
	for _, c := range []struct {
		name     string
		portions []merge.Portion
		m        merge.Mixture
		want     fault.Code
	}{
		{"no adapter", nil, merge.Mixture{}, fault.UsageFlag},
		{"no such method", portions, merge.Mixture{Method: "average"}, fault.UsageFlag},
		{"a density above 1", portions, merge.Mixture{Method: merge.TIES, Density: 1.5}, fault.UsageFlag},
		{"a density that is no number", portions, merge.Mixture{Method: merge.DARELinear, Density: math.NaN()}, fault.UsageFlag},
		{"a negative density", portions, merge.Mixture{Method: merge.DARELinear, Density: -1}, fault.UsageFlag},
		{"no such majority", portions, merge.Mixture{Method: merge.TIES, Majority: "loudest"}, fault.UsageFlag},
		{"a negative rank", portions, merge.Mixture{Method: merge.SVD, Rank: -1}, fault.UsageFlag},
		{"a scale of 0", small, merge.Mixture{}, fault.MergeScale},
		{"an infinite scale", large, merge.Mixture{}, fault.MergeScale},
		{"a scale that overflows", []merge.Portion{portions[0], {Binding: portions[1].Binding, Scale: 1e39}}, merge.Mixture{}, fault.MergeScale},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := merge.Combine(t.Context(), c.portions, c.m)
			if list := fault.All(err); len(list) != 1 || list[0].Code != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if _, err := merge.Combine(t.Context(), []merge.Portion{portions[0], other[1]}, merge.Mixture{}); err != nil {
		t.Errorf("the same base at another place: %v", err)
	}
}

// TestCombineIsTheSame combines twice, and under another seed, and in another order.
func TestCombineIsTheSame(t *testing.T) {
	golden := readCombined(t)
	portions := golden.portions(t)
	digest := func(portions []merge.Portion, m merge.Mixture) [32]byte {
		t.Helper()
		p, err := merge.Combine(t.Context(), portions, m)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		return p.Digest
	}
	m := merge.Mixture{Method: merge.DARETIES, Density: 0.4, Seed: 5}
	first := digest(portions, m)
	if digest(portions, m) != first {
		t.Error("twice the same gives two plans")
	}
	seeded := m
	seeded.Seed++
	turned := slices.Clone(portions)
	slices.Reverse(turned)
	for name, other := range map[string][32]byte{"another seed": digest(portions, seeded), "another order": digest(turned, m)} {
		if bytes.Equal(first[:], other[:]) {
			t.Errorf("%s gives the same plan", name)
		}
	}
	irrelevant := merge.Mixture{Method: merge.Linear}
	noisy := irrelevant
	noisy.Density, noisy.Seed, noisy.Rank, noisy.Majority = .3, 7, 4, merge.Frequency
	if digest(portions, irrelevant) != digest(portions, noisy) {
		t.Error("what the method does not use changes the plan")
	}
}
