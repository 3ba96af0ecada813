package report

import (
	"slices"
	"strings"
)

func damage(r *Report) string {
	denial := probeDenial(r)
	i := slices.IndexFunc(r.Modules, func(m Module) bool { return m.ID == "hygiene" })
	var text string
	switch {
	case i < 0 && denial == "":
		return ""
	case i < 0:
		text = "its values were not looked at"
	case r.Modules[i].Status != "ok":
		text = "not known: the diagnostic that looks for damage did not run to its end"
	default:
		text = wear(r)
	}
	if denial != "" {
		text += "; a probe denies it: " + denial
	}
	return text
}

// wear is what the diagnostic hygiene found. A change of zero is no damage.
func wear(r *Report) string {
	var found []Finding
	nothing, part := false, false
	for _, f := range r.Findings {
		switch {
		case f.Module != "hygiene" || f.Severity == Info:
		case f.Code == "AD_NO_EFFECT":
			nothing = true
		case f.Code == "AD_ZERO":
			part = true
		default:
			found = append(found, f)
		}
	}
	if len(found) > 0 {
		return "something is wrong with its values: " + counts(found) + ", see above"
	}
	if nothing {
		return "it does nothing, see above; nothing in it is broken"
	}
	text := "no damage was found in its values"
	if !mergeTried(r) {
		text = "its factors hold nothing broken; the merge was not tried"
	}
	if part {
		text = "part of it does nothing, see above; " + text
	}
	return text
}

// mergeTried reports whether anything was measured of the merged weights: what rounding leaves of the change, or what the merged model says.
func mergeTried(r *Report) bool {
	return r.Probe != nil || slices.ContainsFunc(r.Metrics, func(m Metric) bool { return m.Name == "merge_gain" })
}

// probeDenial is what probes that deny say, escaped. Their codes begin with PROBE, of the rules and of Tenon itself; one that did not run to
// its end has said nothing.
func probeDenial(r *Report) string {
	var said []string
	for _, f := range r.Findings {
		if f.Severity == DenySeverity && strings.HasPrefix(f.Code, "PROBE_") && f.Code != "PROBE_FAILED" {
			said = append(said, Escape(f.Message))
		}
	}
	return strings.Join(said, "; ")
}
