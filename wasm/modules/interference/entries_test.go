package interference

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

func TestLargestIsTheSortedOne(t *testing.T) {
	stream := splitmix.New("test", "largest", 0)
	for _, distinct := range []uint64{1, 2, 5, 1 << 40} {
		for _, n := range []int{1, 2, 3, 50, 301, 4*draws + 1, 6 * draws} {
			x, sorted := make([]float64, n), make([]float64, n)
			for i := range x {
				sorted[i] = float64(stream.Uint64() % distinct)
				x[i] = sorted[i] * float64(1-2*int(stream.Uint64()&1))
			}
			slices.Sort(sorted)
			for k := 1; k <= n; k += 1 + n/9 {
				if got := math.Float64frombits(largest(x, k, make([]uint64, n), &stream)); got != sorted[n-k] {
					t.Fatalf("of %d values, %d of them distinct, the %d-th largest is %g, want %g", n, distinct, k, got, sorted[n-k])
				}
			}
		}
	}
	largest([]float64{1, math.NaN(), 2, math.NaN()}, 2, make([]uint64, 4), &stream) // it ends
}

// A bracket that misses costs a second pass, not a wrong answer: here every value drawn is the same, and those looked for are not.
func TestLargestBesideTheBracket(t *testing.T) {
	x := make([]float64, 8*draws)
	x[17], x[4711] = 3, -5
	stream := splitmix.New("test", "bracket", 0)
	for k, want := range map[int]float64{1: 5, 2: 3, 3: 0, len(x): 0} {
		if got := math.Float64frombits(largest(x, k, make([]uint64, len(x)), &stream)); got != want {
			t.Errorf("the %d-th largest is %g, want %g", k, got, want)
		}
	}
}

// A sample of the rows gives the shares of all rows within its standard error, which says how far off it is.
func TestSampleErrsAsItSays(t *testing.T) {
	var within int
	const weights = 40
	var own, theirs []diagtest.Target
	for i := range weights {
		name := strconv.Itoa(i)
		x := random("own", name, 200, 50, 2, 1)
		own, theirs = append(own, x), append(theirs, against(x, 0.2, 1))
	}
	exact := run(t, nil, own, peer(peerName, theirs...))
	sampled := run(t, map[string]float64{"exact_entries": 5000, "sample_entries": 2500}, own, peer(peerName, theirs...))
	for i := range weights {
		want, _ := exact.Metric(strconv.Itoa(i), peerName, "sign_opposed")
		got, _ := sampled.Metric(strconv.Itoa(i), peerName, "sign_opposed")
		deviation, ok := sampled.Metric(strconv.Itoa(i), peerName, "sign_opposed_se")
		if !ok || deviation > 0.1 {
			t.Fatalf("the standard error is %g, %t", deviation, ok)
		}
		if math.Abs(got-want) <= 2*deviation {
			within++
		}
	}
	// 95 % of 40 are 38; the threshold is of the sample too.
	if within < 34 {
		t.Errorf("%d of %d estimates are within two standard errors", within, weights)
	}
	want, _ := exact.Metric("", peerName, "sign_opposed")
	got, _ := sampled.Metric("", peerName, "sign_opposed")
	if deviation, ok := sampled.Metric("", peerName, "sign_opposed_se"); !ok || math.Abs(got-want) > 3*deviation || deviation > 0.02 {
		t.Errorf("the adapter's share is %g, want %g within %g", got, want, deviation)
	}
	if _, ok := exact.Metric("0", peerName, "sign_opposed_se"); ok {
		t.Error("an exact share has a standard error")
	}
}

func TestRowsOfASample(t *testing.T) {
	for _, test := range []struct{ out, in, exact, sample, want int }{
		{192, 192, 1 << 20, 1 << 18, 192},   // all
		{4096, 4096, 1 << 20, 1 << 18, 64},  // a sample
		{4096, 14336, 1 << 20, 1 << 16, 16}, // at least so many
		{4096, 200000, 1 << 20, 1 << 18, 5}, // but no more entries than when exact
		{100, 1 << 22, 1 << 20, 1 << 18, 1}, // one row always
	} {
		e := entries{exact: test.exact, sample: test.sample}
		if got := e.count(test.out, test.in); got != test.want {
			t.Errorf("of %d x %d it looks at %d rows, want %d", test.out, test.in, got, test.want)
		}
	}
}
