package report

import (
	"math"
	"slices"
)

// summary is a table that sums up metrics over many weights: a row for each kind of weight or for each adapter compared with.
type summary struct {
	title, note, foot string
	first             string // header of the first column
	columns           []column
	rows              func(metrics []Metric, peers []Peer, columns []column) []*group
}

const overLayers = "median over the layers (least–most)"

// summaries are the tables of a report in their order. The columns of merge loss depend on the formats that were asked about.
func summaries(r *Report) []summary {
	return []summary{
		{title: "Change by kind of weight", note: overLayers, first: "targets", rows: groupTargets,
			foot: "amplif. is ‖ΔW‖/‖UᵀWV‖; random is what directions without meaning would give; " +
				"lift is random/amplif., and about 1 means that ΔW picks no direction of W on purpose",
			columns: []column{
				{header: "rank", metric: "rank", number: whole},
				{header: "‖ΔW‖/‖W‖", metric: "norm_ratio", ranged: true},
				{header: "amplif.", metric: "amplification"},
				{header: "random", metric: "amplification_random"},
				{header: "lift", metric: "alignment_lift", ranged: true},
			}},
		{title: "Directions by kind of weight", note: overLayers, first: "targets", rows: groupTargets,
			foot: "eff. rank is the exponential of the entropy of ΔW's singular values; 90 % and 99 % are how " +
				"many directions hold so much of its energy ‖ΔW‖², and top is the share of the largest",
			columns: []column{
				{header: "eff. rank", metric: "effective_rank", ranged: true},
				{header: "90 %", metric: "energy_rank_90", number: whole},
				{header: "99 %", metric: "energy_rank_99", number: whole},
				{header: "top", metric: "concentration", number: share, ranged: true},
			}},
		{title: "What a merge keeps, by kind of weight", note: overLayers, first: "targets", rows: groupTargets, columns: mergeColumns(r.Metrics),
			foot: "gain is how much of ΔW is still there after rounding W + ΔW, 1 being all of it; lost is the share of entries that do not " +
				"change; error is what rounding adds, beside ‖ΔW‖; the other columns are the gain if the merged weight were stored so"},
		{title: "Overlap with the base by kind of weight", note: overLayers, first: "targets", rows: groupTargets,
			foot: "φ of ΔW's first four directions and W's " + baseDirections(r.Metrics, "phi_base_rank") + "strongest, on the side of the inputs " +
				"and of the outputs; random is what directions without meaning would give, z counts standard deviations above it",
			columns: []column{
				{header: "inputs", metric: "phi_base_top", number: share, ranged: true},
				{header: "random", metric: "phi_base_top_null", number: share},
				{header: "z", metric: "phi_base_top_z", number: tenths},
				{header: "outputs", metric: "phi_base_left_top", number: share},
				{header: "random", metric: "phi_base_left_top_null", number: share},
				{header: "z", metric: "phi_base_left_top_z", number: tenths},
			}},
		{title: "New directions by kind of weight", note: overLayers, first: "targets", rows: groupTargets,
			foot: "of the strongest directions of the merged weight, " + newDirections(r.Metrics) + "; margin is the largest singular value of ΔW " +
				"beside that of W. It tells size, not harm",
			columns: []column{
				{header: "new", metric: "intruders", number: whole},
				{header: "energy", metric: "intruder_energy_share", number: share, ranged: true},
				{header: "margin", metric: "spike_margin", ranged: true},
			}},
		{title: "Outliers by kind of weight", note: overLayers, first: "targets", rows: groupTargets,
			foot: "z is how far a layer's size of change lies from the other layers' (modified z); beyond 3.5 either way is far, and of harmless kinds " +
				"9–21 % have a layer there, by their number of layers",
			columns: []column{{header: "z", metric: "outlier_z", number: tenths, ranged: true}}},
		{title: "Similarity to other adapters", note: "median over shared targets (least–most)", first: "with", rows: groupPeers,
			foot: "φ is the share of one subspace that lies in the other, of the first direction and of all; z counts standard deviations above chance",
			columns: []column{
				{header: "φ(1,1)", metric: "phi_delta_11", number: share, ranged: true},
				{header: "z", metric: "phi_delta_11_z", number: tenths},
				{header: "φ full", metric: "phi_delta_full", number: share},
				{header: "z", metric: "phi_delta_full_z", number: tenths},
				{header: "cosine", metric: "cosine", number: share, ranged: true},
			}},
		{title: "Interference with other adapters", note: "over all shared targets", first: "with", rows: groupPairs,
			foot: "blow-up is ‖sum‖ beside what unrelated changes would give, 1; in and out are the overlap of input and output directions above " +
				"chance; opposed is the share of large entries of both with opposite signs, by chance a half",
			columns: []column{
				{header: "shared", metric: "shared_targets", number: whole},
				{header: "cosine", metric: "cosine", number: share},
				{header: "blow-up", metric: "norm_blowup", number: share},
				{header: "in", metric: "overlap_right_excess", number: share},
				{header: "out", metric: "overlap_left_excess", number: share},
				{header: "opposed", metric: "sign_opposed", number: share},
				{header: "clashes", metric: "clashes", number: whole},
			}},
	}
}

// mergeColumns are gain, loss and error in what the merge writes, and the gain in every other format that was asked about.
func mergeColumns(metrics []Metric) []column {
	columns := []column{
		{header: "gain", metric: "merge_gain", number: share, ranged: true},
		{header: "lost", metric: "merge_lost", number: share},
		{header: "error", metric: "merge_relerr", number: share},
	}
	for _, format := range GainFormats(metrics) {
		columns = append(columns, column{header: shorten(Escape(format), 8), metric: "merge_gain_" + format, number: share})
	}
	return columns
}

// baseDirections is how many of the base's directions a metric counts, "20 " or "10 to 20 ", and "" where it is not reported.
func baseDirections(metrics []Metric, name string) string {
	counts, _, _ := measured(metrics, name, "")
	switch {
	case len(counts) == 0:
		return ""
	case counts[0] == counts[len(counts)-1]:
		return digits(counts[0], 6) + " "
	}
	return digits(counts[0], 6) + " to " + digits(counts[len(counts)-1], 6) + " "
}

// newDirections says what the count of new directions means. Where fewer of the base's directions were looked at than there are, one that was
// left out could be like a direction that counts as new, so it is at most as many; and so it is where nobody can tell how many there are.
func newDirections(metrics []Metric) string {
	known, smaller := baseDirections(metrics, "intruders_base_rank"), smallerDimensions(metrics)
	for _, m := range metrics {
		if size, ok := smaller[m.Target]; m.Name == "intruders_base_rank" && m.Target != "" && !(ok && float64(m.Value) >= size) {
			return "at most how many are like none of the base's, and at most their share of the energy: they were held against the base's " + known +
				"strongest, and not everywhere against all"
		}
	}
	return "how many are like none of the base's " + known + "directions, and their share of the energy"
}

// smallerDimensions are those of weights, told by what chance gives two single directions on the side of the inputs and of the outputs, 1/d.
// A weight of which that is not reported has none.
func smallerDimensions(metrics []Metric) map[string]float64 {
	inputs, smaller := map[string]float64{}, map[string]float64{}
	for _, side := range [][]string{{"phi_base_11_null", "phi_delta_11_null"}, {"phi_base_left_11_null", "phi_delta_left_11_null"}} {
		for _, m := range metrics {
			if !slices.Contains(side, m.Name) {
				continue
			}
			if d := math.Round(1 / float64(m.Value)); side[0] == "phi_base_11_null" {
				inputs[m.Target] = d
			} else if other, ok := inputs[m.Target]; ok {
				smaller[m.Target] = min(d, other)
			}
		}
	}
	return smaller
}

// filled are the columns that some group has a value for.
func filled(groups []*group, columns []column) []column {
	return slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return !slices.ContainsFunc(groups, func(g *group) bool { return len(g.values[c.metric]) > 0 })
	})
}

// summaries writes every table that the report has numbers for.
func (p *page) summaries(r *Report) {
	r = Own(r)
	for _, s := range summaries(r) {
		groups := s.rows(r.Metrics, r.Peers, s.columns)
		if len(groups) == 0 {
			continue
		}
		p.section(s.title, s.note)
		p.ranged(s.first, groups, s.columns)
		p.paragraph(indent, p.paint(faint, s.foot))
	}
}
