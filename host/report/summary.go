package report

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// group is the metrics of targets of one kind, such as all q_proj, or of the targets shared with one peer.
type group struct {
	key     string
	label   string // escaped
	targets []string
	values  map[string][]float64 // by metric name, in the order of the targets
}

func (g *group) add(m Metric) {
	if !slices.Contains(g.targets, m.Target) {
		g.targets = append(g.targets, m.Target)
	}
	g.values[m.Name] = append(g.values[m.Name], float64(m.Value))
}

// format is how the numbers of a column are written.
type format int

const (
	significant format = iota // three digits, two in a range
	whole                     // a count; its range stands in place of the median
	share                     // between -1 and 1: three decimals, two in a range
	tenths                    // one decimal
)

// value is the median of a metric and its extremes, "0.908" and "(0.77–1.1)". Where all values are equal there are no extremes. A metric
// nobody gave is "-"; values that are not numbers are left out, and where nothing is left the answer is "NaN".
func (g *group) value(name string, f format) (middle, extremes string) {
	if len(g.values[name]) == 0 {
		return "-", ""
	}
	sorted := slices.Clone(g.values[name])
	slices.Sort(sorted) // NaN first
	for len(sorted) > 0 && math.IsNaN(sorted[0]) {
		sorted = sorted[1:]
	}
	if len(sorted) == 0 {
		return "NaN", ""
	}
	least, most := sorted[0], sorted[len(sorted)-1]
	var write, rough func(float64) string
	switch f {
	case whole:
		if least == most {
			return digits(least, 6), ""
		}
		return digits(least, 6) + "–" + digits(most, 6), ""
	case share:
		write, rough = decimals(3), decimals(2)
	case tenths:
		write, rough = decimals(1), decimals(1)
	default:
		write, rough = func(v float64) string { return fixed(v, 3) }, func(v float64) string { return fixed(v, 2) }
	}
	if least != most {
		extremes = "(" + rough(least) + "–" + rough(most) + ")"
	}
	return write(median(sorted)), extremes
}

// decimals writes numbers with n digits after the point.
func decimals(n int) func(float64) string {
	return func(v float64) string { return strconv.FormatFloat(v, 'f', n, 64) }
}

// median of sorted values; the mean of the middle two where their number is even.
func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}

// groupTargets gathers what the columns show of the adapter itself by kind of weight: targets whose names differ in numbers only are of
// one kind. The groups are in the order of their first target.
func groupTargets(metrics []Metric, _ []Peer, columns []column) []*group {
	groups := newGroups()
	for _, m := range metrics {
		shown := slices.ContainsFunc(columns, func(c column) bool { return c.metric == m.Name })
		if m.With == "" && m.Target != "" && shown {
			groups.of(Kind(m.Target)).add(m)
		}
	}
	label(groups.ordered)
	return groups.ordered
}

// groupPeers gathers what the columns show of the weights shared with each adapter compared with.
func groupPeers(metrics []Metric, peers []Peer, columns []column) []*group {
	return groupWith(metrics, peers, columns, func(m Metric) bool { return m.Target != "" })
}

// groupPairs gathers what the columns show of the adapter and each adapter compared with as wholes.
func groupPairs(metrics []Metric, peers []Peer, columns []column) []*group {
	return groupWith(metrics, peers, columns, func(m Metric) bool { return m.Target == "" })
}

func groupWith(metrics []Metric, peers []Peer, columns []column, of func(Metric) bool) []*group {
	labels := PeerLabels(peers)
	groups := newGroups()
	for _, m := range metrics {
		shown := slices.ContainsFunc(columns, func(c column) bool { return c.metric == m.Name })
		if m.With != "" && shown && of(m) {
			groups.of(m.With).add(m)
		}
	}
	for _, g := range groups.ordered {
		if g.label = labels[g.key]; g.label == "" {
			g.label = shorten(Escape(strings.TrimPrefix(g.key, "sha256:")), 13)
		}
	}
	return groups.ordered
}

// groups finds groups by key and keeps the order in which they were met.
type groups struct {
	byKey   map[string]*group
	ordered []*group
}

func newGroups() *groups { return &groups{byKey: map[string]*group{}} }

func (s *groups) of(key string) *group {
	if g, ok := s.byKey[key]; ok {
		return g
	}
	g := &group{key: key, values: map[string][]float64{}}
	s.byKey[key] = g
	s.ordered = append(s.ordered, g)
	return g
}

// Kind is a tensor name without its numbers and without ".weight": "model.layers.self_attn.q_proj".
func Kind(target string) string {
	var parts []string
	for part := range strings.SplitSeq(strings.TrimSuffix(target, ".weight"), ".") {
		if _, err := strconv.Atoi(part); err != nil {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ".")
}

// Layer is the first number in a tensor name, "3" of "model.layers.3.self_attn.q_proj.weight"; -1 where there is none.
func Layer(target string) int {
	for part := range strings.SplitSeq(target, ".") {
		if n, err := strconv.Atoi(part); err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

// KindLabels calls each kind by as few of its last parts as tell it from the others, such as q_proj, escaped.
func KindLabels(kinds []string) []string {
	all, labels := make([]*group, len(kinds)), make([]string, len(kinds))
	for i, kind := range kinds {
		all[i] = &group{key: kind}
	}
	label(all)
	for i, g := range all {
		labels[i] = g.label
	}
	return labels
}

// PeerLabels calls each peer by the last part of its reference, or by its digest where that names two, escaped. The keys are digests.
func PeerLabels(peers []Peer) map[string]string {
	times, labels := map[string]int{}, map[string]string{}
	for _, p := range peers {
		times[path.Base(strings.TrimRight(p.Ref, "/"))]++
	}
	for _, p := range peers {
		labels[p.Digest] = shorten(Escape(strings.TrimPrefix(p.Digest, "sha256:")), 13)
		if name := path.Base(strings.TrimRight(p.Ref, "/")); times[name] == 1 {
			labels[p.Digest] = shorten(Escape(name), 24)
		}
	}
	return labels
}

// label names each group by as few of the last parts of its key as tell it from the others.
func label(groups []*group) {
	for _, g := range groups {
		parts := strings.Split(g.key, ".")
		for n := 1; n <= len(parts); n++ {
			g.label = shorten(Escape(strings.Join(parts[len(parts)-n:], ".")), 24)
			suffix := "." + strings.Join(parts[len(parts)-n:], ".")
			if !slices.ContainsFunc(groups, func(o *group) bool { return o != g && strings.HasSuffix("."+o.key, suffix) }) {
				break
			}
		}
	}
}

// shorten keeps the beginning of text in at most width runes.
func shorten(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return string(runes[:width-1]) + "…"
}

// fixed writes v with a number of significant digits, zeros at the end kept so that columns line up: without an exponent between 0.001 and
// a million, and with every digit before the point.
func fixed(v float64, places int) string {
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strconv.FormatFloat(v, 'f', -1, 64)
	case abs == 0:
		return "0"
	case abs < 0.001 || abs >= 1e6:
		return strconv.FormatFloat(v, 'e', places-1, 64)
	}
	// Rounding comes before counting: 0.9996 has its first digit before the point once it is 1.00.
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', places-1, 64), 64)
	if err != nil {
		return strconv.FormatFloat(v, 'g', places, 64)
	}
	after := places - 1 - int(math.Floor(math.Log10(math.Abs(rounded))))
	return strconv.FormatFloat(v, 'f', max(after, 0), 64)
}

// digits is fixed without the zeros that end a fraction.
func digits(v float64, places int) string {
	text := fixed(v, places)
	if strings.Contains(text, ".") && !strings.Contains(text, "e") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// GainFormats are the storage formats that the report says what a merge into them would keep of the change: the NAME of metrics
// merge_gain_NAME, in the order in which they come. The errors of gains, of samples, are no formats.
func GainFormats(metrics []Metric) []string {
	var formats []string
	for _, m := range metrics {
		if format, ok := strings.CutPrefix(m.Name, "merge_gain_"); ok && !strings.HasPrefix(format, "error") && !slices.Contains(formats, format) {
			formats = append(formats, format)
		}
	}
	return formats
}
