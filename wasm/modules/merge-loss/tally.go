package mergeloss

import (
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// tally sums up the weights: the deltas of all of them taken as one vector.
type tally struct {
	own         abi.Rounding
	measured    int       // weights in own
	stored      abi.DType // what they are stored in
	whatIfs     []kept
	withoutBase bool
	unfitted    int // weights whose rows are no multiple of a format's blocks
}

// kept is what a format would leave of the adapter.
type kept struct {
	whatIf
	sum     abi.Rounding
	weights int
}

func newTally(set settings) *tally {
	t := &tally{}
	for _, w := range set.whatIfs {
		t.whatIfs = append(t.whatIfs, kept{whatIf: w})
	}
	return t
}

// addOwn counts a weight in the base's own format, and warns of it where too little is left.
func (t *tally) addOwn(target diag.Target, r abi.Rounding, share float64, set settings) {
	t.own = total(t.own, scaled(r, 1/share))
	t.measured++
	t.stored = target.BaseDType
	if left := gain(r); left < set.warn {
		target.Finding(diag.Warn, "MERGE_SWAMPED",
			"only "+percent(left)+" of this weight's change is left when the merged weight is stored as "+formatName(target.BaseDType)+
				": many of its entries are too small to move a weight to the next number",
			hint(target.BaseDType), left, set.warn)
	}
}

// meaning says what a gain means, where that is more than the number: an operator may refuse at a gain above one half too.
func meaning(gain float64) string {
	if gain < 0.5 {
		return ": more of it is lost than arrives"
	}
	return ""
}

// hint says what keeps a change that a base's own format loses.
func hint(stored abi.DType) string {
	if stored == abi.DTypeBF16 {
		return "serve the adapter unmerged, or merge to f16 or f32, whose grids are finer"
	}
	return "serve the adapter unmerged, or merge to f32, whose grid is finer"
}

func (t *tally) addWhatIf(w whatIf, r abi.Rounding, share float64) {
	for i := range t.whatIfs {
		if k := &t.whatIfs[i]; k.format == w.format {
			k.sum = total(k.sum, scaled(r, 1/share))
			k.weights++
		}
	}
}

// report reports the adapter as a whole.
func (t *tally) report(run *diag.Run, set settings) {
	if t.withoutBase {
		run.Finding(diag.Info, "MERGE_LOSS_UNDEFINED", "the weights of the base were not to be read, so what the merge would lose is unknown",
			"grant base to merge-loss in the policy", 0, 0)
	}
	if t.unfitted > 0 {
		run.Finding(diag.Info, "MERGE_FORMAT_UNFIT",
			"the rows of "+strconv.Itoa(t.unfitted)+
				" weights do not divide into the blocks of q8_0 and q4_0 (32) or nf4 (64), so these were not tried on them",
			"runtimes store such weights in another format; nothing needs to be done", float64(t.unfitted), 0)
	}
	if t.measured > 0 {
		left := gain(t.own)
		run.Metric("merge_gain", left)
		if left < set.deny {
			run.Finding(diag.Deny, "MERGE_SWAMPED",
				"only "+percent(left)+" of the adapter is left when the merged weights are stored as the base's are"+meaning(left),
				hint(t.stored), left, set.deny)
		}
	}
	t.reportWhatIfs(run, set)
}

// reportWhatIfs reports what other formats would leave of the adapter as a whole.
func (t *tally) reportWhatIfs(run *diag.Run, set settings) {
	var erased, overflown []string
	least := 1.0
	for _, k := range t.whatIfs {
		if k.weights == 0 {
			continue
		}
		left := gain(k.sum)
		run.Metric("merge_gain_"+k.name, left)
		if k.sum.Overflow > 0 {
			overflown = append(overflown, k.name)
		}
		if left < set.deny {
			erased = append(erased, k.name+" ("+percent(left)+")")
			least = min(least, left)
		}
	}
	if len(erased) > 0 {
		run.Finding(diag.Info, "MERGE_WOULD_ERASE",
			"storing the merged weights as "+strings.Join(erased, ", ")+" would leave that much of the adapter",
			"do not merge into such a base: serve the adapter beside it, or merge into a 16-bit base and quantize the result with calibration data",
			least, set.deny)
	}
	if len(overflown) > 0 {
		run.Finding(diag.Info, "MERGE_WOULD_OVERFLOW", "merged values do not fit "+strings.Join(overflown, ", "),
			"do not store the merged weights as "+strings.Join(overflown, " or "), 0, 0)
	}
}

// percent gives a share as people read it. A share is never called nothing or all unless it is.
func percent(share float64) string {
	switch p := 100 * share; {
	case p <= 0:
		return "0 %"
	case p < 0.1:
		return "less than 0.1 %"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	}
}

func formatName(d abi.DType) string {
	switch d {
	case abi.DTypeF16:
		return "f16"
	case abi.DTypeBF16:
		return "bf16"
	}
	return "f32"
}
