package duplicates

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// Banks keep features, so what they are must never change but with the module's version.
func TestSignatureIsFixed(t *testing.T) {
	report := run(t, nil, diagtest.Adapter{Targets: []diagtest.Target{
		{Name: "v", Scale: 2, A: diagtest.Rows([]float64{1, 2, 3}), B: diagtest.Rows([]float64{1}, []float64{-1})},
		{Name: "w", Scale: 1, A: diagtest.Rows([]float64{0, 5}), B: diagtest.Rows([]float64{1}, []float64{7}, []float64{2})},
	}})
	want := []float64{689514777, 3605452518, 689514777, 689559270, 3605408025, 689559270, 689559270, 689559270}
	if grid, ok := report.Grid("", "", "signature"); !ok || grid.Rows != 1 || !slices.Equal(grid.Values, want) {
		t.Errorf("signature is %v, %t, want %v", grid.Values, ok, want)
	}
	grid, ok := report.Grid("", "", "features")
	if !ok || grid.Rows != 1 || grid.Cols != 256 || grid.Values[0] != 36 || grid.Values[1] != -20 || grid.Values[255] != -40 {
		t.Errorf("features are %v, %t", grid, ok)
	}
	if len(report.Findings)+len(report.Metrics) > 0 {
		t.Errorf("nothing to compare with gives %v and %v", report.Findings, report.Metrics)
	}
}

// A feature is u' (delta W) v of the dense delta, and the mean product of two sketches is the inner product of the deltas.
func TestSketchIsUnbiased(t *testing.T) {
	own, theirs := random("own", "w", 12, 10, 2), random("own", "w", 12, 10, 2)
	for i, value := range random("theirs", "w", 12, 10, 2).B.Values {
		theirs.B.Values[i] += value
	}
	x, y := own.Delta().Values, theirs.Delta().Values
	var inner, mean, square float64
	for i := range x {
		inner += x[i] * y[i]
	}
	const names = 400
	for i := range names {
		name := "w" + strconv.Itoa(i)
		own.Name, theirs.Name = name, name
		f, g := featuresOf(t, own), featuresOf(t, theirs)
		var product float64
		for k := range f {
			product += f[k] * g[k] / features
		}
		mean += product / names
		square += product * product / names
		if i > 0 {
			continue
		}
		u, v := vector("duplicates u", name, 3, 12), vector("duplicates v", name, 5, 10)
		var want float64
		for row := range u {
			for col := range v {
				want += u[row] * x[row*len(v)+col] * v[col]
			}
		}
		if got := f[3*side+5]; math.Abs(got-want) > 1e-9 {
			t.Errorf("feature (3, 5) is %g, want %g", got, want)
		}
	}
	if deviation := math.Sqrt((square - mean*mean) / names); math.Abs(mean-inner) > 4*deviation || deviation > 0.1*inner {
		t.Errorf("the mean of %d sketches is %g with standard error %g, want %g", names, mean, deviation, inner)
	}
}

// Signatures of adapters that have nothing in common differ in 128 +- 8 bits, those of nearly the same in an angle's share.
func TestDistances(t *testing.T) {
	const pairs, weights = 100, 12
	unrelated, alike := moments{}, moments{}
	for i := range pairs {
		seed := strconv.Itoa(i)
		var own, other, near sketch
		for j := range weights {
			name := "layers." + strconv.Itoa(j)
			x := random(seed, name, 40, 40, 4)
			own.add(featuresOf(t, x))
			other.add(featuresOf(t, random("other"+seed, name, 40, 40, 4)))
			// Noise of 1/7 of the length, at a right angle: cosine 0.99.
			noise := normal("noise"+seed+name, 40, 4)
			for k := range noise.Values {
				x.B.Values[k] += noise.Values[k] / 7
			}
			near.add(featuresOf(t, x))
		}
		unrelated.add(own.signature().distance(other.signature()))
		alike.add(own.signature().distance(near.signature()))
	}
	if mean, deviation := unrelated.get(); math.Abs(mean-128) > 3 || deviation < 6 || deviation > 10.5 {
		t.Errorf("unrelated adapters differ in %g +- %g bits, want 128 +- 8", mean, deviation)
	}
	want := 256 * math.Acos(1/math.Sqrt(1+1./49)) / math.Pi
	if mean, deviation := alike.get(); math.Abs(mean-want) > 1.5 || deviation > 5 || alike.most > 40 {
		t.Errorf("cosine 0.99 gives %g +- %g bits and at most %d, want %g", mean, deviation, alike.most, want)
	}
}

// The signature is of the change, not of the factors it is written in, nor of how large it is; the features follow its size.
func TestInvariance(t *testing.T) {
	own := random("own", "w", 24, 30, 3)
	f := featuresOf(t, own)
	for _, rewriting := range append(diagtest.SameChange(), diagtest.Rescale(7)) {
		g := featuresOf(t, rewriting.Of(own))
		if distance := f.signature().distance(g.signature()); distance != 0 {
			t.Errorf("%s: %d bits differ", rewriting.Name, distance)
		}
	}
	adapter := configured(t, nil, diagtest.Adapter{Targets: []diagtest.Target{own}})
	c := diagtest.Comparison{Relative: 1e-9, Absolute: 1e-9}
	diagtest.Invariant(t, adapter, Diagnose, c, diagtest.SameChange()...)
	c.Factors = map[string]float64{"features": 7}
	diagtest.Invariant(t, adapter, Diagnose, c, diagtest.Rescale(7))
	other := featuresOf(t, diagtest.Rescale(-1).Of(own))
	if distance := f.signature().distance(other.signature()); distance != features {
		t.Errorf("negative scale: %d bits differ, want all", distance)
	}
}

func TestEstimate(t *testing.T) {
	for distance, want := range map[int]float64{0: 1, 26: 0.9495, 40: 0.8819, 128: 0, 216: -0.8819, 256: -1} {
		cosine, deviation := estimate(distance)
		if math.Abs(cosine-want) > 1e-4 || deviation <= 0 || deviation > math.Pi/32 {
			t.Errorf("%d bits are cosine %g +- %g, want %g", distance, cosine, deviation, want)
		}
	}
}

type moments struct {
	n, sum, squares float64
	most            int
}

func (m *moments) add(x int) {
	m.n++
	m.sum += float64(x)
	m.squares += float64(x * x)
	m.most = max(m.most, x)
}

func (m *moments) get() (mean, deviation float64) {
	mean = m.sum / m.n
	return mean, math.Sqrt(m.squares/m.n - mean*mean)
}

// run runs the diagnostic with its default parameters, changed as given.
func run(t *testing.T, params map[string]float64, adapter diagtest.Adapter) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, configured(t, params, adapter), Diagnose)
}

func configured(t *testing.T, params map[string]float64, adapter diagtest.Adapter) diagtest.Adapter {
	t.Helper()
	adapter.Params = params
	return diagtest.Configured(t, "duplicates.json", adapter)
}

// featuresOf gives the features of an adapter of one or more weights.
func featuresOf(t *testing.T, targets ...diagtest.Target) sketch {
	t.Helper()
	grid, ok := run(t, nil, diagtest.Adapter{Targets: targets}).Grid("", "", "features")
	if !ok || grid.Cols != features {
		t.Fatalf("features are %v, %t", grid, ok)
	}
	return sketch(grid.Values)
}

// random is a target with Gaussian factors.
func random(seed, name string, out, in, rank int) diagtest.Target {
	return diagtest.Target{Name: name, A: normal(seed+"a"+name, rank, in), B: normal(seed+"b"+name, out, rank), Scale: 1}
}

func normal(name string, rows, cols int) diagtest.Matrix {
	stream := splitmix.New("test", name, 0)
	return diagtest.Filled(rows, cols, stream.Normals)
}

func vector(purpose, name string, index, length int) []float64 {
	out := make([]float64, length)
	stream := splitmix.New(purpose, name, index)
	stream.Signs(out)
	return out
}
