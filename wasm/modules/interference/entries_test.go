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
	var scratch []uint32
	for _, distinct := range []uint64{1, 2, 5, 1 << 40} {
		for _, n := range []int{2, 4, 50, 302, 4*sampled + 2, 7 * sampled} {
			words, sorted := make([]word, n/2), make([]float32, n)
			for i, x := range halves(words) {
				x = float32(stream.Uint64()%distinct) * 0x1p-30
				sorted[i] = x
				halves(words)[i] = x * float32(1-2*int(stream.Uint64()&1))
			}
			slices.Sort(sorted)
			for k := 1; k <= n; k += 1 + n/9 {
				if got := math.Float32frombits(largest(words, k, &scratch, &stream)); got != sorted[n-k] {
					t.Fatalf("of %d values, %d of them distinct, the %d-th largest is %g, want %g", n, distinct, k, got, sorted[n-k])
				}
			}
		}
	}
}

// A bracket that misses costs a second pass, not a wrong answer: here every entry sampled is the same, and those looked for are not.
func TestLargestBesideTheBracket(t *testing.T) {
	words := make([]word, 8*sampled)
	halves(words)[17], halves(words)[4711] = 3, -5
	stream := splitmix.New("test", "bracket", 0)
	var scratch []uint32
	for k, want := range map[int]float32{1: 5, 2: 3, 3: 0, 2 * len(words): 0} {
		if got := math.Float32frombits(largest(words, k, &scratch, &stream)); got != want {
			t.Errorf("the %d-th largest is %g, want %g", k, got, want)
		}
	}
	halves(words)[8] = float32(math.Inf(-1))
	if got := largest(words, 1, &scratch, &stream); got != infinite {
		t.Errorf("the largest is %x, want infinity", got)
	}
}

func TestReaches(t *testing.T) {
	values := []float32{0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, 1, -1, 1.0000001, 3e38, float32(math.Inf(1)), float32(math.Inf(-1))}
	magnitude := func(x float32) uint32 { return math.Float32bits(x) &^ (1 << 31) }
	for _, x := range values {
		for _, y := range values {
			for _, least := range []uint32{1, 2, magnitude(1), magnitude(1) + 1, infinite} {
				words := make([]word, 1)
				copy(halves(words), []float32{x, y})
				got := reaches(words[0], both(least))
				want := uint64(0)
				for _, v := range []float32{x, y} {
					if magnitude(v) >= least {
						want++
					}
				}
				if ones(got) != want || got&^signs != 0 {
					t.Errorf("of %g and %g, %d reach %x, want %d", x, y, ones(got), least, want)
				}
			}
		}
	}
}

// A row of an odd number of entries counts as one of an even number.
func TestOddRows(t *testing.T) {
	own, theirs := random("own", "w", 12, 31, 3, 1), random("theirs", "w", 12, 31, 3, -2)
	x, y := own.Delta().Values, theirs.Delta().Values
	quantile := func(v []float64) float64 {
		magnitudes := make([]float64, len(v))
		for i := range v {
			magnitudes[i] = math.Abs(v[i])
		}
		slices.Sort(magnitudes)
		return magnitudes[len(v)-len(v)/5]
	}
	least, theirLeast, contested := quantile(x), quantile(y), 0.
	for i := range x {
		if math.Abs(x[i]) >= least && math.Abs(y[i]) >= theirLeast && x[i]*y[i] < 0 {
			contested++
		}
	}
	if contested == 0 {
		t.Fatal("nothing is contested")
	}
	wantMetric(t, run(t, nil, []diagtest.Target{own}, peer(peerName, theirs)), "w", peerName, "contested", contested)
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
