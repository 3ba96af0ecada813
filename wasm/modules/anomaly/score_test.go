package anomaly

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// If the adapter is drawn as those of the bank are, every p is as likely as any other, whatever the features look like: heavy tails, layers
// that differ, adapters that differ as a whole.
func TestPIsUniform(t *testing.T) {
	const trials, adapters, weights = 4000, 20, 6
	kinds := []string{"q", "q", "q", "v", "v", "v"}
	rng := rand.New(rand.NewPCG(11, 12))
	counts := make([]int, adapters)
	for range trials {
		drawn := make(table, adapters)
		for i := range drawn {
			drawn[i] = make([]vector, weights)
			whole := rng.NormFloat64()
			for w := range drawn[i] {
				for f := range features {
					x := whole + float64(w) + rng.NormFloat64()/math.Sqrt(rng.ExpFloat64()+1e-3)
					if f == sigma1 || f == deltaNorm {
						x = math.Exp(x)
					}
					drawn[i][w][f] = x
				}
			}
		}
		s, _ := scores(kinds, drawn)
		counts[int(math.Round(conformal(s)*adapters))-1]++
	}
	var chi float64
	for _, count := range counts {
		difference := float64(count) - trials/adapters
		chi += difference * difference / (trials / adapters)
	}
	if chi > 43.8 { // 1 in 1000 of chi-squared with 19 degrees of freedom
		t.Errorf("p is not uniform: chi-squared %g, counts %v", chi, counts)
	}
}

// Exchanging adapters exchanges their scores and nothing else.
func TestScoresAreExchangeable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	drawn := make(table, 9)
	for i := range drawn {
		drawn[i] = make([]vector, 3)
		for w := range drawn[i] {
			for f := range features {
				drawn[i][w][f] = rng.ExpFloat64()
			}
		}
	}
	kinds := []string{"a", "b", "a"}
	want, _ := scores(kinds, drawn)
	slices.Reverse(drawn)
	got, _ := scores(kinds, drawn)
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		t.Errorf("scores are %v, and reversed %v", want, got)
	}
}

func TestScoreByHand(t *testing.T) {
	// Of each feature the values 1 2 3 4 and 1000: median 3, distances 2 1 0 1 997, their median 1.
	drawn := make(table, 5)
	for i, x := range []float64{1, 2, 3, 4, 1000} {
		v := vector{1, 1, x, x, x} // sizes that do not differ
		drawn[i] = []vector{v}
	}
	got, z := scores([]string{"a"}, drawn)
	for i, steps := range []float64{-2, -1, 0, 1, 997} {
		one := 0.6745 * steps
		if want := 3. / 5 * math.Pow(min(math.Abs(one), clip), 2); math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("score %d is %g, want %g", i, got[i], want)
		}
		if math.Abs(z[i][0][concentration]-one) > 1e-12 || z[i][0][sigma1] != 0 {
			t.Errorf("z %d is %v, want %g", i, z[i][0], one)
		}
	}
	if p := conformal([]float64{got[4], got[0], got[1], got[2], got[3]}); p != 0.2 {
		t.Errorf("p of the last is %g, want 0.2", p)
	}
	if p := conformal([]float64{1, 1, 1}); p != 1 {
		t.Errorf("p among equals is %g, want 1", p)
	}
}
