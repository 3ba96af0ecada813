package hygiene

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// survey gathers over the weights that change what is said of the adapter once, and not of each weight.
type survey struct {
	weights    []weight
	untouched  untouched
	dead, rank int // rank components that add nothing, of how many
	worst      share
	zeroRows   int64 // outputs that never change
	zeroCols   int64 // inputs that are never read
	zeroIn     string
	subnormal  share // the worst factor
	lost       share // the factor that loses the most where subnormal values count as zero
	dtypes     []abi.DType
	scales     []float64 // the least and the largest magnitude
}

// weight is one that changes.
type weight struct {
	target diag.Target
	a, b   abi.Stats
}

// share is the largest of some shares, and whose it is.
type share struct {
	of   float64
	name string
}

func (s *share) raise(of float64, name string) {
	if of > s.of {
		*s = share{of, name}
	}
}

// add takes a weight with finite factors whose delta is not zero by its factors alone, and of whose rank components so many are unused.
func (s *survey) add(target diag.Target, a, b abi.Stats, unused int) {
	s.weights = append(s.weights, weight{target, a, b})
	s.untouched.add(target, a)
	s.dead += unused
	s.rank += target.Rank
	s.worst.raise(float64(unused)/float64(target.Rank), target.Name)
	if rows, cols := b.ZeroRows, a.ZeroCols; rows+cols > 0 {
		s.zeroRows += rows
		s.zeroCols += cols
		if s.zeroIn == "" {
			s.zeroIn = target.Name
		}
	}
	s.addSubnormal("A of "+target.Name, a, target.FactorDType)
	s.addSubnormal("B of "+target.Name, b, target.FactorDType)
	if !slices.Contains(s.dtypes, target.FactorDType) {
		s.dtypes = append(s.dtypes, target.FactorDType)
	}
	size := math.Abs(target.Scale)
	if len(s.scales) == 0 {
		s.scales = []float64{size, size}
	}
	s.scales[0], s.scales[1] = min(s.scales[0], size), max(s.scales[1], size)
}

// smallestNormal gives the least magnitude that a dtype stores with all its digits.
func smallestNormal(dtype abi.DType) float64 {
	switch dtype {
	case abi.DTypeF16:
		return 0x1p-14
	case abi.DTypeF64:
		return 0x1p-1022
	}
	return 0x1p-126
}

// addSubnormal bounds what the factor loses where its subnormal values count as zero: each is below the smallest normal number.
func (s *survey) addSubnormal(name string, stats abi.Stats, dtype abi.DType) {
	if stats.Subnormal == 0 {
		return
	}
	s.subnormal.raise(float64(stats.Subnormal)/float64(stats.Count-stats.Zero), name)
	bound := 1.0
	if norm := math.Sqrt(stats.SumSquares); norm > 0 {
		bound = min(1, math.Sqrt(float64(stats.Subnormal))*smallestNormal(dtype)/norm)
	}
	s.lost.raise(bound, name)
}

// report says it, the most serious first.
func (s *survey) report(run *diag.Run) error {
	if err := reportCopies(run, s.weights); err != nil {
		return err
	}
	s.reportSubnormal(run)
	s.untouched.report(run)
	if s.dead > 0 {
		run.Finding(diag.Info, "AD_DEAD_RANK", strconv.Itoa(s.dead)+" of "+strconv.Itoa(s.rank)+" rank components are never used, because their row "+
			"of A or their column of B is zero; "+percent(s.worst.of)+" % of those of "+s.worst.name,
			"nothing is wrong with the delta; `tenon compress` stores it in a smaller rank, and a server needs less memory", float64(s.dead), 0)
	}
	if s.zeroRows+s.zeroCols > 0 {
		run.Finding(diag.Info, "AD_ZERO_ROWS", count(s.zeroRows)+" outputs never change and "+count(s.zeroCols)+
			" inputs are never read, because rows of B or columns of A are zero; the first in "+s.zeroIn,
			"nothing to do if a part of the weight was left out on purpose, as in a fused projection", float64(s.zeroRows+s.zeroCols), 0)
	}
	if len(s.dtypes) > 1 {
		slices.Sort(s.dtypes)
		names := make([]string, len(s.dtypes))
		for i, dtype := range s.dtypes {
			names[i] = dtypeName(dtype)
		}
		run.Finding(diag.Info, "AD_DTYPE_MIX", "the factors are stored in "+strings.Join(names, " and "),
			"check that all tensors come from the same export", float64(len(names)), 1)
	}
	if len(s.scales) > 0 && s.scales[1] > s.scales[0]*(1+1e-6) {
		run.Finding(diag.Info, "AD_SCALES_DIFFER", "the scale differs between weights, from "+number(s.scales[0])+" to "+number(s.scales[1]),
			"make sure that alpha_pattern and rank_pattern are meant so: a runtime that does not read them applies another scale",
			s.scales[1]/s.scales[0], 1)
	}
	return nil
}

// subnormalNoise is the relative error that storing a factor in BF16 makes: what subnormal values could lose below it is not worth a word.
const subnormalNoise = 0x1p-9

// reportSubnormal is a warning where most of a factor has left the range of its dtype. Most is more than half: ours, not from a null.
func (s *survey) reportSubnormal(run *diag.Run) {
	if s.lost.of < subnormalNoise {
		return
	}
	severity, worst := diag.Info, s.lost
	if s.subnormal.of > 0.5 {
		severity, worst = diag.Warn, s.subnormal
	}
	run.Finding(severity, "AD_SUBNORMAL", "values below the normal range of their dtype, which keep fewer digits and count as zero in some "+
		"runtimes: up to "+percent(s.subnormal.of)+" % of a factor; worst in "+worst.name,
		"store the adapter in BF16 or F32, or move a part of the scale into the factors", s.subnormal.of, 0.5)
}

// percent writes a share of one.
func percent(of float64) string { return strconv.FormatFloat(100*of, 'g', 3, 64) }
