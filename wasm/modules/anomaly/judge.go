package anomaly

import (
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/layers"
	"github.com/tenon-ml/tenon/wasm/modules/internal/places"
)

const notAVerdict = "this is no verdict on its safety: look at how it was made and at its outputs"

// judge holds the adapter against those of the bank, given by position, that have features for all of the weights for which it has some
// itself. An adapter of the bank that lacks one is left out; this one is not, because what is checked could then escape the check by a
// single weight of zeros, but the report says which weights nobody looked at.
func judge(run *diag.Run, subjects []subject, without places.Places, bank []int) error {
	if len(subjects) == 0 {
		undefined(run, "no weight changes in a way that has features", "see the findings of hygiene")
		return nil
	}
	if len(bank) == 0 {
		undefined(run, "the bank holds no other adapter for this base", "add adapters that you trust with `tenon bank add`")
		return nil
	}
	kinds := make([]string, len(subjects))
	adapters := table{make([]vector, len(subjects))}
	for i, s := range subjects {
		kinds[i] = s.kind
		adapters[0][i] = s.own
	}
	for _, entry := range bank {
		if row, ok := aligned(subjects, entry); ok {
			adapters = append(adapters, row)
		}
	}
	n := len(adapters) - 1
	run.Metric("bank_adapters", float64(n))
	if n == 0 {
		undefined(run, "none of the "+strconv.Itoa(len(bank))+" adapters of your bank changes all of the weights that this one changes",
			"add adapters with the same target_modules with `tenon bank add`")
		return nil
	}
	if without.Count > 0 {
		run.Finding(diag.Info, "ANOMALY_PARTIAL", "it was compared without "+without.Of(len(run.Targets()), "its ", "weights")+
			", whose change is zero or not finite and has no features", "see the findings of hygiene for these weights", float64(without.Count), 0)
	}
	all, z := scores(kinds, adapters)
	p := conformal(all)
	run.Metric("anomaly_score", all[0])
	run.Metric("anomaly_p", p)
	for i, s := range subjects {
		s.target.Metric("anomaly_score", z[0][i].size())
	}
	if limit := run.Param("p"); p <= limit {
		run.Finding(diag.Warn, "UNLIKE_BANK", "unlike the "+strconv.Itoa(n)+" adapters of your bank that change the same weights: "+
			further(all)+"; "+strangest(subjects, z[0]), notAVerdict, p, limit)
	}
	if float64(n) < run.Param("min_bank") {
		run.Finding(diag.Info, "BANK_SMALL", "your bank has "+strconv.Itoa(n)+" adapters to compare with, so p cannot be below "+
			strconv.FormatFloat(1/float64(n+1), 'g', 2, 64), "add adapters that you trust with `tenon bank add`", float64(n), run.Param("min_bank"))
	}
	return nil
}

func undefined(run *diag.Run, message, hint string) {
	run.Finding(diag.Info, "ANOMALY_UNDEFINED", message+", so there is nothing to compare", hint, 0, 0)
}

// aligned gives the features of one adapter of the bank for all subjects; false where it lacks some.
func aligned(subjects []subject, entry int) ([]vector, bool) {
	row := make([]vector, len(subjects))
	for i, s := range subjects {
		row[i] = s.bank[entry]
		if !row[i].complete() {
			return nil, false
		}
	}
	return row, true
}

// further says how many adapters of the bank lie as far from the common pattern as the first.
func further(scores []float64) string {
	count := 0
	for _, score := range scores[1:] {
		if score >= scores[0] {
			count++
		}
	}
	switch count {
	case 0:
		return "none of them lies as far from what they have in common"
	case 1:
		return "only 1 of them lies as far from what they have in common"
	}
	return "only " + strconv.Itoa(count) + " of them lie as far from what they have in common"
}

// said is how a sentence names a feature.
var said = [features]string{"largest singular value", "size of the change", "share of the first direction", "entropy", "kurtosis"}

// strangest names the weight that adds most to the score, and its feature that does.
func strangest(subjects []subject, z []vector) string {
	worst := 0
	for i := range z {
		if z[i].size() > z[worst].size() {
			worst = i
		}
	}
	feature := 0
	for f := range z[worst] {
		if math.Abs(z[worst][f]) > math.Abs(z[worst][feature]) {
			feature = f
		}
	}
	direction := " is larger than usual"
	if z[worst][feature] < 0 {
		direction = " is smaller than usual"
	}
	place, ok := layers.Of(subjects[worst].target.Name)
	where := place.Short()
	if ok {
		where += " of layer " + strconv.Itoa(place.Layer)
	}
	return "most of all the " + said[feature] + " of " + where + direction
}
