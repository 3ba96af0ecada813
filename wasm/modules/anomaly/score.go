package anomaly

import (
	"math"

	"github.com/tenon-ml/tenon/wasm/modules/internal/robust"
)

// clip bounds a robust z, so that one broken weight does not stand for all of an adapter.
const clip = 10

// equal is the spread below which features are the same but for rounding.
const equal = 1e-9

// table holds adapters x weights x features.
type table [][]vector

// scores tells how far each adapter lies from the common pattern, and the robust z of each of its features in the same order as the table.
// The yardstick of a feature is the median and the median distance of it over all adapters and all layers of a kind. All adapters of the
// table make the yardstick and all are measured by it, so exchanging two of them exchanges their scores and nothing else: that is what a
// conformal p rests on. The score is the mean of the squared z, each clipped; about 1 for an ordinary adapter.
func scores(kinds []string, adapters table) ([]float64, table) {
	columns := map[string][]int{}
	for column, kind := range kinds {
		columns[kind] = append(columns[kind], column)
	}
	z := make(table, len(adapters))
	for i := range z {
		z[i] = make([]vector, len(kinds))
	}
	for _, of := range columns { // each writes its own columns, so their order does not matter
		for feature := range features {
			standardize(adapters, z, of, feature)
		}
	}
	out := make([]float64, len(adapters))
	for i, row := range z {
		for _, v := range row {
			out[i] += v.size()
		}
		out[i] /= float64(len(kinds))
	}
	return out, z
}

// standardize fills in the robust z of one feature of one kind of weight.
func standardize(adapters, z table, columns []int, feature int) {
	values := make([]float64, 0, len(adapters)*len(columns))
	for _, row := range adapters {
		for _, column := range columns {
			values = append(values, onScale(row[column], feature))
		}
	}
	median, mad := robust.Center(values)
	unit := max(mad/robust.Consistency, equal*max(1, math.Abs(median)))
	next := 0
	for i := range adapters {
		for _, column := range columns {
			z[i][column][feature] = (values[next] - median) / unit
			next++
		}
	}
}

// onScale is the feature as it is compared: sizes, which grow by factors, on the scale of logarithms.
func onScale(v vector, feature int) float64 {
	if feature == sigma1 || feature == deltaNorm {
		return math.Log(v[feature])
	}
	return v[feature]
}

// size is the mean of the squared z of one weight, each clipped.
func (v vector) size() float64 {
	var sum float64
	for _, z := range v {
		z = min(math.Abs(z), clip)
		sum += float64(z * z)
	}
	return sum / features
}

// complete reports whether the weight has all features, finite and of possible size.
func (v vector) complete() bool {
	for feature := range v {
		if x := onScale(v, feature); x-x != 0 {
			return false
		}
	}
	return true
}

// conformal is the p of the first of these scores among all of them: if all adapters were drawn alike, it is at most p in a share p of
// the cases, whatever the score and however few they are (Vovk, Gammerman and Shafer 2005).
func conformal(scores []float64) float64 {
	atLeast := 0
	for _, score := range scores {
		if score >= scores[0] {
			atLeast++ // itself included
		}
	}
	return float64(atLeast) / float64(len(scores))
}
