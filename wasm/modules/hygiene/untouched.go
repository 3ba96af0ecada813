package hygiene

import (
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// untouched gathers the factors A of all weights that change, in units of how each would have been initialized, and tells whether they
// can be told from that (diagnostics B.3). Over all weights together there are enough values for that: a million place the variance
// within 0.4 %.
type untouched struct {
	weights         int
	uniform, normal pool
	rounding        float64 // relative, of the coarsest dtype
}

// pool is the values of all factors divided by their unit.
type pool struct{ n, sum, squares, largest float64 }

func (p *pool) add(a abi.Stats, unit float64) {
	p.n += float64(a.Count)
	p.sum += a.Sum / unit
	p.squares += a.SumSquares / unit / unit
	p.largest = max(p.largest, max(math.Abs(a.Min), math.Abs(a.Max))/unit)
}

// add takes A of a weight whose B is not zero. PEFT and loralib draw it from U(-1/sqrt(in), 1/sqrt(in)), and PEFT's "gaussian" from a normal
// distribution of standard deviation 1/r.
func (u *untouched) add(target diag.Target, a abi.Stats) {
	u.weights++
	u.uniform.add(a, 1/math.Sqrt(float64(target.In)))
	u.normal.add(a, 1/float64(target.Rank))
	u.rounding = max(u.rounding, roundingOf(target.FactorDType))
}

func roundingOf(dtype abi.DType) float64 {
	switch dtype {
	case abi.DTypeBF16:
		return 0x1p-8
	case abi.DTypeF16:
		return 0x1p-11
	}
	return 0x1p-23
}

const (
	// enough is how many values are judged: fewer leave a trained A too much room.
	enough = 4096
	// Each of the four tests below fails for one initialized A in 10,000.
	deviations = 3.891
	unlikely   = 1e-4
)

// asUniform reports whether nothing tells the values from U(-1, 1): neither their mean, nor their variance of 1/3, nor their largest, which is at
// most 1 and lies below it by an exponential of mean 1/n. Training moves some value over the bound at once, so this is the sharp test.
func (p pool) asUniform(rounding float64) bool {
	below := p.n * (1 - rounding - p.largest)
	return p.n >= enough && p.largest <= 1+rounding && below <= -math.Log(unlikely) &&
		math.Abs(p.sum) <= deviations*math.Sqrt(p.n/3) && math.Abs(p.squares-p.n/3) <= deviations*math.Sqrt(p.n*4/45)
}

// asNormal reports whether nothing tells the values from N(0, 1), likewise: as many values as lie beyond the largest are expected to be an
// exponential of mean 1.
func (p pool) asNormal() bool {
	beyond := p.n * math.Erfc(p.largest/math.Sqrt2)
	return p.n >= enough && beyond >= unlikely && beyond <= -math.Log(unlikely) &&
		math.Abs(p.sum) <= deviations*math.Sqrt(p.n) && math.Abs(p.squares-p.n) <= deviations*math.Sqrt(2*p.n)
}

func (u *untouched) report(run *diag.Run) {
	method, known := run.Attr("init_lora_weights")
	law := ""
	switch {
	case (!known || method == "" || method == "true" || method == "false") && u.uniform.asUniform(u.rounding):
		law = "uniform"
	case (!known || method == "" || method == "gaussian") && u.normal.asNormal():
		law = "normal"
	default:
		return
	}
	run.Finding(diag.Info, "AD_UNTOUCHED_A", "factor A of all "+strconv.Itoa(u.weights)+" weights that change cannot be told from its "+law+
		" initialization: it is as if only B was trained", "nothing to do if A was frozen on purpose; otherwise check that the optimizer was given A and the "+
		"learning rate was not far too small", float64(u.weights), 0)
}
