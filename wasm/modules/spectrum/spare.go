package spectrum

import (
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/spread"
)

// spare gathers over the targets how much of the rank goes unused.
type spare struct {
	least, most int     // of the configured ranks
	used        int     // the largest rank that holds 99 % of the energy of a weight
	share       float64 // the largest of these ranks as a share of the configured one
	unknown     bool    // a weight has no singular values
	spectra     []spread.Spread
}

func (s *spare) add(rank int, spectrum spread.Spread) {
	if s.most == 0 || rank < s.least {
		s.least = rank
	}
	used := spectrum.Rank(0.99)
	s.most = max(s.most, rank)
	s.used = max(s.used, used)
	s.share = max(s.share, float64(used)/float64(rank))
	s.spectra = append(s.spectra, spectrum)
}

// spareShare is the share of the rank up to which 99 % of the energy is worth a hint: half, because the rank then could be halved.
const spareShare = 0.5

// collapsedShare is the share of the rank up to which something went wrong: of 16 directions or more that were trained, one is left in every weight.
const collapsedShare = 1. / 16

// report hints at a smaller rank where every weight has one. A weight that does not change needs none and does not stand against it.
func (s *spare) report(run *diag.Run) {
	if s.unknown || s.most == 0 || s.share > spareShare {
		return
	}
	used, verb := strconv.Itoa(s.used), " carry"
	if s.used == 1 {
		verb = " carries"
	}
	message := "rank " + strconv.Itoa(s.most) + ", of which at most " + used + verb
	if s.least < s.most {
		message = "ranks " + strconv.Itoa(s.least) + " to " + strconv.Itoa(s.most) + ", of which at most half carries"
	}
	all, worst := s.kept()
	severity := diag.Info
	if s.share <= collapsedShare {
		severity = diag.Warn
	}
	run.Finding(severity, "RANK_TO_SPARE", message+" 99 % of the energy of every weight",
		"`tenon compress --rank "+used+"` keeps "+percent(all)+" % of the energy of all weights together and at least "+percent(worst)+
			" % of each; then compare the outputs, because energy is not quality",
		s.share, spareShare)
}

// kept is the share of energy that cutting every weight to the rank used would keep: of all weights together, and of the worst one.
func (s *spare) kept() (all, worst float64) {
	var largest float64
	for _, spectrum := range s.spectra {
		largest = max(largest, spectrum.Norm)
	}
	var kept, total float64
	worst = 1
	for _, spectrum := range s.spectra {
		share := spectrum.Kept(s.used)
		relative := spectrum.Norm / largest
		energy := relative * relative
		kept += float64(share * energy)
		total += energy
		worst = min(worst, share)
	}
	return kept / total, worst
}

// percent writes a share of one with two digits, rounded down: what is not all is never written as 100.
func percent(share float64) string {
	return strconv.FormatFloat(math.Floor(share*1e4)/100, 'f', -1, 64)
}
