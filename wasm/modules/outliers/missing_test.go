package outliers

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// upTo gives the layers from first to last but for some.
func upTo(first, last int, except ...int) []int {
	var out []int
	for i := first; i <= last; i++ {
		if !slices.Contains(except, i) {
			out = append(out, i)
		}
	}
	return out
}

func TestMissingLayers(t *testing.T) {
	type kinds map[string][]int
	everyFourth := []int{3, 7, 11, 15}
	tests := []struct {
		name  string
		kinds kinds
		want  []string // severity and message
	}{
		{"all layers", kinds{"q": upTo(0, 9), "v": upTo(0, 9)}, nil},
		{"one kind misses one layer", kinds{"q": upTo(0, 9), "v": upTo(0, 9, 4)},
			[]string{"warn v is not adapted in layer 4, but is in other layers from 0 to 9"}},
		{"two kinds miss the same layers", kinds{"k": upTo(0, 9, 4, 5), "q": upTo(0, 9), "v": upTo(0, 9, 4, 5)},
			[]string{"warn k, v is not adapted in layers 4, 5, but is in other layers from 0 to 9"}},
		{"all kinds miss a layer", kinds{"q": upTo(0, 9, 4), "v": upTo(0, 9, 4)},
			[]string{"warn nothing is adapted in layer 4, between layers 0 to 9 that are adapted"}},
		{"the lower half is left out", kinds{"q": upTo(8, 15), "v": upTo(8, 15)}, []string{"info nothing is adapted in layers 0 to 7"}},
		{"one kind misses an edge", kinds{"q": upTo(0, 9), "v": upTo(2, 9)},
			[]string{"info v is adapted in layers 2 to 9 only, and other weights in layers 0, 1 too"}},
		{"every fourth layer is of another kind", kinds{"out": everyFourth, "q": upTo(0, 15, everyFourth...)},
			[]string{"info q is not adapted in layers 3, 7, 11, but is in other layers from 0 to 14",
				"info q is adapted in layers 0 to 14 only, and other weights in layer 15 too"}},
		{"every other layer", kinds{"q": {0, 2, 4, 6, 8}},
			[]string{"info nothing is adapted in layers 1, 3, 5, 7, between layers 0 to 8 that are adapted"}},
		{"two layers far apart", kinds{"q": {0, 999999}}, nil},
		{"experts", kinds{"experts.0.w": upTo(0, 5), "experts.1.w": upTo(0, 5, 2)},
			[]string{"warn experts.1.w is not adapted in layer 2, but is in other layers from 0 to 5"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var targets []diagtest.Target
			for kind, layers := range test.kinds {
				for _, layer := range layers {
					targets = append(targets, sized(name(layer, kind), 1+0.1*float64(layer)))
				}
			}
			var got []string
			for _, f := range run(t, kernels, targets...).Findings {
				if f.Code == "MISSING_LAYERS" {
					got = append(got, map[abi.Severity]string{diag.Info: "info ", diag.Warn: "warn "}[f.Severity]+f.Message)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("findings\n got %q\nwant %q", got, test.want)
			}
		})
	}
}

// An adapter of which every weight leaves out something else does not drown its other findings.
func TestManyGaps(t *testing.T) {
	var targets []diagtest.Target
	for i := range 40 {
		for _, layer := range upTo(0, 49, 1+i) {
			targets = append(targets, sized(name(layer, "w"+strconv.Itoa(i)), 1+0.01*float64(layer)))
		}
	}
	findings := run(t, kernels, targets...).Findings
	if len(findings) != maxGaps+1 || !strings.HasPrefix(findings[maxGaps].Message, "24 more kinds of weights") {
		t.Errorf("%d findings: %+v", len(findings), findings)
	}
}
