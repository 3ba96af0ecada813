package report

import (
	"fmt"
	"slices"
	"strings"
)

// foreign reports whether a module does not ship with Tenon.
func (m Module) foreign() bool { return m.Origin != "" && m.Origin != BuiltIn }

// notTenons says it of a module for which foreign holds.
const notTenons = "not part of Tenon"

// foreigners are the ids of modules that do not ship with Tenon.
func foreigners(modules []Module) map[string]bool {
	foreign := map[string]bool{}
	for _, m := range modules {
		if m.foreign() {
			foreign[m.ID] = true
		}
	}
	return foreign
}

// stranger says where a module comes from that does not ship with Tenon, and how it was confined; "" for one that does. It is escaped.
func stranger(m Module) string {
	if !m.foreign() {
		return ""
	}
	confined := "it did not run"
	if m.Sandbox != "" {
		confined = "sandbox " + Escape(m.Sandbox)
	}
	sum := ""
	if m.SHA256 != "" {
		sum = shortDigest("sha256:" + m.SHA256)
	}
	return list(notTenons, "from "+Escape(m.Origin), sum, confined)
}

// twice reports whether every module that ended well was run a second time.
func twice(modules []Module) bool {
	ended := func(m Module) bool { return m.Status == "ok" }
	return slices.ContainsFunc(modules, ended) && !slices.ContainsFunc(modules, func(m Module) bool { return ended(m) && m.Runs < 2 })
}

// lastWords are the last lines of a log, where the sandbox says what it refused, and how many there are before them. They are escaped.
func lastWords(log string) []string {
	const most, longest = 4, 400
	if log == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
	var words []string
	if before := len(lines) - most; before > 0 {
		words = append(words, fmt.Sprintf("(%s, all of them in -o json)", plural(before, "earlier line")))
		lines = lines[before:]
	}
	for _, line := range lines {
		words = append(words, Escape(cutText(line, longest)))
	}
	return words
}

// cutText shortens text to limit bytes, and a character that this splits is left out.
func cutText(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// Own is r as far as Tenon's own modules made it: without metrics, grids and findings of others. Tables, figures and the answers to a
// person's questions know metrics by their names, and a module of somebody else could give one of the same name and answer in its place.
func Own(r *Report) *Report {
	foreign := foreigners(r.Modules)
	if len(foreign) == 0 {
		return r
	}
	own := *r
	own.Metrics = slices.DeleteFunc(slices.Clone(r.Metrics), func(m Metric) bool { return foreign[m.Module] })
	own.Grids = slices.DeleteFunc(slices.Clone(r.Grids), func(g Grid) bool { return foreign[g.Module] })
	own.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return foreign[f.Module] })
	return &own
}

// identity says which version a module is, where it comes from, how it was confined and by which digests it is known, short and in full.
func identity(m Module) underView {
	short := []string{Escape(m.Version), Escape(m.Origin)}
	if m.Sandbox != "" {
		short = append(short, "sandbox "+Escape(m.Sandbox))
	}
	full := slices.Clone(short)
	for _, sum := range []struct{ name, digest string }{{"sha256", m.SHA256}, {"manifest", m.ManifestSHA256}} {
		if digest := Escape(sum.digest); digest != "" {
			short, full = append(short, sum.name+":"+shorten(digest, 13)), append(full, sum.name+":"+digest)
		}
	}
	return underView{list(short...), list(full...)}
}
