package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/report"
)

// The limits by which the numbers of a comparison become words. A distance from chance counts from five standard deviations on, as in the
// paper's claims; a cosine from 0.05, below which an effect can be beyond chance and still too small to matter; and what holds in half of the
// weights holds. Changes are the same from the cosine on by which duplicates are known.
const (
	beyondChance = 5
	leastCosine  = 0.05
	sameCosine   = 0.95
	clashShare   = 0.25
)

// relation is what two adapters have to do with each other, from what module interference reports. Nothing in it depends on which of the two
// is the first.
type relation struct {
	own, other, shared int // weights that each adapts, and both
	compared           int // of these, where both change something
	cosine, blowup     float64
	clashes            float64
	agree, oppose      int // weights whose changes point the same way, or against each other
	inputs, outputs    int // weights where they read the same inputs, or write the same outputs, beyond chance
	related            int // weights where any of that, or the cosine, is beyond chance
}

func newRelation(metrics []report.Metric, own, other int) relation {
	a := relation{own: own, other: other, cosine: math.NaN()}
	cosines, related := map[string]float64{}, map[string]bool{}
	for _, m := range metrics {
		if m.Module != "interference" || m.With == "" {
			continue
		}
		v := float64(m.Value)
		if m.Target == "" {
			switch m.Name {
			case "shared_targets":
				a.shared = int(v)
			case "cosine":
				a.cosine = v
			case "norm_blowup":
				a.blowup = v
			case "clashes":
				a.clashes = v
			}
			continue
		}
		switch m.Name {
		case "cosine":
			a.compared++
			cosines[m.Target] = v
		case "overlap_right_z":
			if v >= beyondChance {
				a.inputs++
				related[m.Target] = true
			}
		case "overlap_left_z":
			if v >= beyondChance {
				a.outputs++
				related[m.Target] = true
			}
		}
	}
	for _, m := range metrics {
		if m.Module == "interference" && m.With != "" && m.Name == "cosine_z" && m.Target != "" {
			cosine, z := cosines[m.Target], float64(m.Value)
			if math.Abs(z) >= beyondChance {
				related[m.Target] = true
			}
			switch {
			case cosine >= leastCosine && z >= beyondChance:
				a.agree++
			case cosine <= -leastCosine && z <= -beyondChance:
				a.oppose++
			}
		}
	}
	a.related = len(related)
	return a
}

// most reports whether something holds in half of the weights that were compared.
func (a relation) most(n int) bool { return 2*n >= a.compared }

// finding is the answer, in words for a person who never heard of φ.
func (a relation) finding() report.Finding {
	f := report.Finding{Severity: report.Info}
	of := func(n int) string { return fmt.Sprintf("in %d of the %s", n, a.where()) }
	cosine := "cosine " + strings.ReplaceAll(strconv.FormatFloat(a.cosine, 'f', 3, 64), "-", "−") // a hyphen would be a place to fold the line
	switch {
	case a.shared == 0:
		f.Code, f.Message = "NOTHING_SHARED", fmt.Sprintf("no weight is adapted by both (%d by one, %d by the other)", a.own, a.other)
		f.Hint = "if both are for one base, neither touches a weight that the other changes; changes in different weights can work against each " +
			"other unseen, so test the sum on the tasks of both"
	case a.compared == 0:
		f.Code, f.Message = "NO_CHANGE", "there is nothing to compare: one of them changes nothing in the "+a.where()
		f.Hint = "check each alone: tenon check"
	case a.cosine >= sameCosine:
		f.Code, f.Message = "SAME", fmt.Sprintf("they do the same in the %s (%s)%s", a.where(), cosine, a.strength())
		f.Hint = "keep one of them: merged together, the change is applied twice"
	case a.cosine <= -sameCosine:
		f.Code, f.Message = "OPPOSITE", fmt.Sprintf("each undoes the other in the %s (%s)%s", a.where(), cosine, a.strength())
		f.Hint = "check the sign of the scale, unless one is meant to take the other back"
	case a.agree > 0 && a.oppose > 0 && float64(min(a.agree, a.oppose)) >= clashShare*float64(a.compared):
		f.Code, f.Message = "MIXED", fmt.Sprintf("they agree %s and oppose each other in %d (%s over all)", of(a.agree), a.oppose, cosine)
		f.Hint = "test the sum on the tasks of both before it is served"
	case a.clashes >= clashShare*float64(a.shared) || a.most(a.oppose) || a.cosine <= -leastCosine:
		f.Code, f.Message = "OPPOSE", fmt.Sprintf("they overlap and oppose each other %s (%s over all)", of(max(a.oppose, int(a.clashes))), cosine)
		f.Hint = "serve them one at a time: merged together, each loses part of what it learned"
	case a.most(a.agree) || a.cosine >= leastCosine:
		f.Code, f.Message = "AGREE", fmt.Sprintf("they overlap and agree %s (%s over all)", of(a.agree), cosine)
		f.Hint = "both learned part of the same: merged together, that part counts twice"
	case a.most(a.inputs) && a.most(a.outputs):
		f.Code = "SAME_DIRECTIONS"
		f.Message = fmt.Sprintf("they work in the same directions and do different things there: inputs and outputs overlap beyond chance, and the "+
			"changes neither agree nor oppose (%s) over the %s", cosine, a.where())
		f.Hint = "test the sum on the tasks of both before it is served"
	case a.most(a.inputs):
		f.Code, f.Message = "SAME_INPUTS", fmt.Sprintf("they answer to the same inputs and write elsewhere: only inputs overlap beyond chance, %s (%s)",
			of(a.inputs), cosine)
		f.Hint = "nothing in the weights says that they disturb each other; test the sum all the same"
	case a.most(a.outputs):
		f.Code, f.Message = "SAME_OUTPUTS", fmt.Sprintf("they write to the same outputs and answer to other inputs: only outputs overlap beyond "+
			"chance, %s (%s)", of(a.outputs), cosine)
		f.Hint = "nothing in the weights says that they disturb each other; test the sum all the same"
	case a.most(a.related):
		f.Code, f.Message = "LITTLE_IN_COMMON", fmt.Sprintf("they have more in common than chance gives, and too little of it to matter: it is "+
			"beyond chance %s, and the changes neither agree nor oppose (%s over all)", of(a.related), cosine)
		f.Hint = "nothing in the weights says that they disturb each other; test the sum all the same"
	default:
		how := "unrelated"
		if a.related > 0 {
			how = "mostly unrelated"
		}
		f.Code, f.Message = "UNRELATED", fmt.Sprintf("they are %s: %s neither directions nor changes have more in common than chance gives (%s "+
			"over all)", how, of(a.compared-a.related), cosine)
		f.Hint = "nothing in the weights says that they disturb each other; test the sum all the same"
	}
	return f
}

// where names the weights that both adapt, and how many they are of all.
func (a relation) where() string {
	weights := fmt.Sprintf("%d weights that both adapt", a.shared)
	if a.shared == 1 {
		weights = "one weight that both adapt"
	}
	if a.own != a.shared || a.other != a.shared {
		weights += fmt.Sprintf(" (one adapts %d, the other %d)", a.own, a.other)
	}
	return weights
}

// strength tells how many times as large one change is as the other, of two that point the same way or against each other. With the ratio
// ρ of the norms, the norm of the sum over that of orthogonal changes is the root of 1 + 2 cosine ρ/(1+ρ²).
func (a relation) strength() string {
	q := (a.blowup*a.blowup - 1) / a.cosine
	if !(q > 0 && q < 1) {
		return ", with equal strength"
	}
	if ratio := (1 + math.Sqrt((1-q)*(1+q))) / q; ratio > 1.01 {
		return fmt.Sprintf(", and one of them is %s times as strong", strconv.FormatFloat(ratio, 'f', 2, 64))
	}
	return ", with equal strength"
}
