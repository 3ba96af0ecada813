package outliers

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/robust"
)

// limits are the operator's settings.
type limits struct {
	flag   float64 // modified z above which a layer is named
	layers float64 // fewer have no modified z
}

// score reports how far each weight lies from the same weight in the other layers, by the modified z of Iglewicz and Hoaglin on the
// logarithm of its relative size (diagnostics B.2). Sizes are relative to W where all of them can be.
func (g *group) score(limits limits, unscored *unscored) {
	if n := len(g.members); n == 0 || float64(n) < limits.layers {
		unscored.few = append(unscored.few, g.kind.Short())
		unscored.weights += n
		return
	}
	relative := !slices.ContainsFunc(g.members, func(m member) bool { return !m.relative })
	sizes := make([]float64, len(g.members))
	for i, m := range g.members {
		sizes[i] = math.Log(m.delta)
		if relative {
			sizes[i] -= math.Log(m.base)
		}
	}
	z, median, ok := robust.ModifiedZ(sizes)
	if !ok {
		unscored.alike = append(unscored.alike, g.kind.Short())
		unscored.weights += len(g.members)
		return
	}
	for i, m := range g.members {
		m.target.Metric("outlier_z", z[i])
		if math.Abs(z[i]) > limits.flag {
			g.flag(m, z[i], math.Exp(sizes[i]-median), relative, limits)
		}
	}
}

// flag names a layer. It is a warning beyond what one harmless kind of weight in a thousand shows.
func (g *group) flag(m member, z, ratio float64, relative bool, limits limits) {
	severity, limit := diag.Info, limits.flag
	if rare := max(limits.flag, rareZ(len(g.members))); math.Abs(z) > rare {
		severity, limit = diag.Warn, rare
	}
	size := "change"
	if relative {
		size = "change relative to the weight"
	}
	direction, hint := " times larger", "check the scale of this layer (alpha_pattern, rank_pattern) and whether the tensor comes from another "+
		"adapter or checkpoint"
	if ratio < 1 {
		ratio = 1 / ratio
		direction, hint = " times smaller", "check whether this layer was trained, or frozen or overwritten on the way, and its scale"
	}
	m.target.Finding(severity, "OUTLIER", "in layer "+strconv.Itoa(m.layer)+" the "+size+" of "+g.kind.Short()+" is "+
		strconv.FormatFloat(ratio, 'g', 3, 64)+direction+" than the median of its "+strconv.Itoa(len(g.members))+" layers", hint, z, math.Copysign(limit, z))
}

// rare holds, by number of layers, the modified z that the most extreme of so many normal values exceeds once in a thousand samples:
// 2,000,000 samples each up to 16, 600,000 above. The docs have the table.
var rare = []struct {
	layers int
	z      float64
}{
	{5, 58.8}, {6, 24.1}, {8, 15.7}, {10, 12.1}, {12, 10.3}, {14, 9.1}, {16, 8.2}, {18, 7.8}, {20, 7.3}, {24, 6.8}, {28, 6.4}, {32, 6.1},
	{40, 5.8}, {48, 5.5}, {64, 5.3}, {96, 5.1}, {128, 5.0},
}

// rareZ is the entry of the largest number of layers that is not above n, so that it errs towards silence. Below the table there is no
// such z.
func rareZ(n int) float64 {
	z := math.Inf(1)
	for _, entry := range rare {
		if entry.layers > n {
			break
		}
		z = entry.z
	}
	return z
}

// unscored gathers the kinds of weights that have no modified z, and why.
type unscored struct {
	few, alike []string
	weights    int
}

// report says once for the adapter what has no z.
func (u *unscored) report(run *diag.Run, limits limits) {
	var reasons []string
	if len(u.few) > 0 {
		reasons = append(reasons, "fewer than "+strconv.FormatFloat(limits.layers, 'g', -1, 64)+" layers change "+list(u.few))
	}
	if len(u.alike) > 0 {
		reasons = append(reasons, "at least half of the layers change "+list(u.alike)+" by exactly as much")
	}
	if len(reasons) > 0 {
		run.Finding(diag.Info, "OUTLIER_UNDEFINED", "no layer can be told from the others: "+strings.Join(reasons, "; "),
			"compare these layers by hand with the grid singular_values of spectrum", float64(u.weights), 0)
	}
}

// listed is how many names a sentence holds.
const listed = 4

// list writes names for a sentence.
func list(names []string) string {
	if more := len(names) - listed; more > 0 {
		return strings.Join(names[:listed], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(names, ", ")
}
