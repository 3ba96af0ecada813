package amplification

import (
	"math"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// The closed form is what draws of random directions give, for a W of equal singular values, one that decays, and one of a single direction.
func TestLiftVariance(t *testing.T) {
	const m, n, draws = 14, 9, 12_000
	spectra := map[string][]float64{
		"flat": {1, 1, 1, 1, 1, 1, 1, 1, 1}, "decaying": {9, 4, 2, 1, .5, .2, .1, .1, .1}, "one direction": {3},
	}
	stream := splitmix.New("test", "lift", 0)
	for name, s := range spectra {
		for _, k := range []int{1, 3, 9} {
			var energy, fourth, sum, squares float64
			for _, v := range s {
				energy, fourth = energy+v*v, fourth+v*v*v*v
			}
			for range draws {
				// W is diag(s): any other W of these singular values turns U and V, which changes no distribution.
				u, v := haar(&stream, m, k), haar(&stream, n, k)
				var x float64
				for i := range k {
					for j := range k {
						var p float64
						for d, sigma := range s {
							p += u[i][d] * sigma * v[j][d]
						}
						x += p * p
					}
				}
				x /= energy * float64(k*k) / (m * n)
				sum, squares = sum+x/draws, squares+x*x/draws
			}
			want := liftVariance(k, m, n, fourth/(energy*energy))
			if got := squares - sum*sum; math.Abs(sum-1) > 0.05 || math.Abs(got-want) > 0.15*want+0.001 {
				t.Errorf("%s, k=%d: mean %g, want 1; variance %g, want %g", name, k, sum, got, want)
			}
		}
	}
	if got := liftVariance(3, 3, 3, 0.5); got != 0 {
		t.Errorf("in the whole space the variance is %g", got)
	}
}

// The deviation that is printed is close to the true one although one pass does not tell W's spectrum: the estimate of the fourth powers
// is unbiased, and its error enters under a root beside a term that is known.
func TestFourthPower(t *testing.T) {
	const m, n, seeds = 96, 64, 60
	for _, decay := range []float64{4, 16, 1e9} { // e-folding of the singular values
		var energy, fourth float64
		s := make([]float64, n)
		for i := range s {
			s[i] = math.Exp(-float64(i) / decay)
			energy, fourth = energy+s[i]*s[i], fourth+s[i]*s[i]*s[i]*s[i]
		}
		stream := splitmix.New("test", "fourth", int(decay))
		left, right := haar(&stream, m, n), haar(&stream, n, n)
		want := math.Sqrt(liftVariance(8, m, n, fourth/(energy*energy)))
		var mean, deviation float64
		for seed := range seeds {
			estimate := fourthPower(sketch(left, s, right, seed), signsLeft, signsRight)
			mean += estimate / fourth / seeds
			got := math.Sqrt(liftVariance(8, m, n, bounded(estimate, energy, n, nil)/(energy*energy)))
			deviation += math.Pow(got/want-1, 2) / seeds
		}
		if math.Abs(mean-1) > 0.25 || math.Sqrt(deviation) > 0.35 {
			t.Errorf("decay %g: the estimate is %g times the truth on average, the deviation off by %g", decay, mean, math.Sqrt(deviation))
		}
	}
}

func TestBounded(t *testing.T) {
	tests := []struct {
		name                   string
		estimate, energy, want float64
		top                    []float64
	}{
		{"at least spread evenly", 0, 4, 4, nil},
		{"at most in one direction", 99, 4, 16, nil},
		{"between", 10, 4, 10, nil},
		{"the known top and the rest evenly", 0, 4, 1 + 9./3, []float64{1}},
		{"the known top and the rest as large", 99, 4, 1 + 3, []float64{1}},
		{"all known", 0, 4, 4, []float64{1, 1, 1, 1}},
	}
	for _, test := range tests {
		if got := bounded(test.estimate, test.energy, 4, test.top); math.Abs(got-test.want) > 1e-12 {
			t.Errorf("%s: %g, want %g", test.name, got, test.want)
		}
	}
}

// Sampling random directions gives what the closed form says, and changes no other number by more than rounding.
func TestSamples(t *testing.T) {
	stream := splitmix.New("test", "samples", 0)
	target := random(&stream, 40, 30, 2)
	plain := run(t, target)
	adapter := configured(t, target)
	adapter.Params["samples"] = 1000
	sampled := diagtest.MustRun(t, adapter, Diagnose)
	for _, m := range plain.Metrics {
		if got, ok := sampled.Metric("w", "", m.Name); !ok || math.Abs(got-m.Value) > 1e-9*math.Abs(m.Value) {
			t.Errorf("%s is %g, %t with samples, %g without", m.Name, got, ok, m.Value)
		}
	}
	count, _ := sampled.Metric("w", "", "projection_norm_samples")
	norm, _ := sampled.Metric("w", "", "projection_norm_sampled")
	want, _ := plain.Metric("w", "", "projection_norm_random")
	if count != 15 || math.Abs(norm/want-1) > 0.25 {
		t.Errorf("%g samples give %g, the closed form %g", count, norm, want)
	}
}

// haar gives k orthonormal vectors of d dimensions, by Gram and Schmidt.
func haar(stream *splitmix.Stream, d, k int) [][]float64 {
	vectors := make([][]float64, k)
	for i := range vectors {
		v := make([]float64, d)
		stream.Normals(v)
		for range 2 {
			for _, earlier := range vectors[:i] {
				var dot float64
				for l := range v {
					dot += v[l] * earlier[l]
				}
				for l := range v {
					v[l] -= dot * earlier[l]
				}
			}
		}
		length := norm(v)
		for l := range v {
			v[l] /= length
		}
		vectors[i] = v
	}
	return vectors
}

// sketch is R' W S of random signs, for the W with these singular triples.
func sketch(left [][]float64, s []float64, right [][]float64, seed int) []float64 {
	stream := splitmix.New("test", "sketch", seed)
	project := func(columns int, vectors [][]float64) [][]float64 {
		out := make([][]float64, columns)
		signs := make([]float64, len(vectors[0]))
		for c := range out {
			stream.Signs(signs)
			out[c] = make([]float64, len(vectors))
			for i, v := range vectors {
				for l := range v {
					out[c][i] += v[l] * signs[l]
				}
			}
		}
		return out
	}
	rows, cols := project(signsLeft, left), project(signsRight, right)
	y := make([]float64, 0, signsLeft*signsRight)
	for _, row := range rows {
		for _, col := range cols {
			var sum float64
			for i, sigma := range s {
				sum += row[i] * sigma * col[i]
			}
			y = append(y, sum)
		}
	}
	return y
}
