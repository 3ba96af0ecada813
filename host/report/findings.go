package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// severityOrder puts the gravest first; an unknown severity counts as the gravest.
func severityOrder(s Severity) int {
	switch s {
	case Info:
		return 2
	case Warn:
		return 1
	}
	return 0
}

// SortFindings orders findings as the schema says: severity (deny first), module, code, target. Findings equal in all four keep their order.
func SortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(severityOrder(a.Severity), severityOrder(b.Severity)), cmp.Compare(a.Module, b.Module),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Target, b.Target))
	})
}

// reason is findings that differ in target and message only: one thing to understand, and one thing to do.
type reason struct {
	Severity           Severity
	Module, Code, Hint string
	Findings           []Finding // at least one
}

// reasons gathers findings, the gravest first, of one gravity those last that only count the others, and otherwise in their order.
func reasons(findings []Finding) []reason {
	type key struct {
		severity           Severity
		module, code, hint string
	}
	var all []reason
	at := map[key]int{}
	for _, f := range findings {
		k := key{f.Severity, f.Module, f.Code, f.Hint}
		i, ok := at[k]
		if !ok {
			i = len(all)
			at[k] = i
			all = append(all, reason{Severity: f.Severity, Module: f.Module, Code: f.Code, Hint: f.Hint})
		}
		all[i].Findings = append(all[i].Findings, f)
	}
	slices.SortStableFunc(all, func(a, b reason) int {
		return cmp.Or(cmp.Compare(severityOrder(a.Severity), severityOrder(b.Severity)), cmp.Compare(a.counting(), b.counting()))
	})
	return all
}

// counting is 1 for the rules of the built-in policies that only say that there are findings of a severity, and otherwise 0: whoever reads
// those findings has read everything that they say.
func (r reason) counting() int {
	if r.Module == "policy" && (r.Code == "DIAGNOSTIC_DENIES" || r.Code == "DIAGNOSTIC_WARNS") {
		return 1
	}
	return 0
}

// speaker is the module that a reason comes from, as far as there is one. foreign are those that do not ship with Tenon. It is escaped.
func (r reason) speaker(foreign map[string]bool) string {
	if foreign[r.Module] {
		return Escape(r.Module) + ", " + notTenons
	}
	return Escape(r.Module)
}

// told is what to read about a reason: one sentence, and under it places or further sentences. Everything is escaped.
func (r reason) told() (sentence string, items []string) {
	n := len(r.Findings)
	if n == 1 {
		return sentenceOf(r.Findings[0]), nil
	}
	var targets []string
	for _, f := range r.Findings {
		if f.Message != r.Findings[0].Message || f.Target == "" || f.Value != 0 || f.Limit != 0 {
			for _, f := range r.Findings[1:] {
				items = append(items, sentenceOf(f))
			}
			return sentenceOf(r.Findings[0]), items
		}
		targets = append(targets, f.Target)
	}
	for _, name := range fold(targets) {
		items = append(items, Escape(name))
	}
	return fmt.Sprintf("%s, in %d weights", Escape(r.Findings[0].Message), n), items
}

// sentenceOf is what a finding says: the target unless the message names it, the message, and the number with its limit.
func sentenceOf(f Finding) string {
	text := Escape(f.Message)
	if target := Escape(f.Target); target != "" && !strings.Contains(text, target) {
		text = target + ": " + text
	}
	if value := float64(f.Value); value != 0 || f.Limit != 0 {
		text += " (" + digits(value, 4)
		if f.Limit != 0 {
			text += ", limit " + digits(float64(f.Limit), 4)
		}
		text += ")"
	}
	return text
}

// findings writes every reason: what it means, its code and the module it comes from, and after an arrow what to do.
func (p *page) findings(report *Report) {
	foreign := foreigners(report.Modules)
	for _, r := range reasons(report.Findings) {
		label := fmt.Sprintf("%-5s ", strings.ToUpper(Escape(string(r.Severity))))
		sentence, items := r.told()
		tag := Escape(r.Code)
		if speaker := r.speaker(foreign); speaker != "" && r.Module != "policy" { // whose rules are known by their codes
			tag += " · " + speaker
		}
		p.paragraph(p.paint(severityInk(r.Severity), label), sentence+" "+p.paint(faint, "["+tag+"]"))
		const most = 8
		for _, item := range items[:min(len(items), most)] {
			p.paragraph(findingIndent+"- ", item)
		}
		if more := len(items) - most; more > 0 {
			p.paragraph(findingIndent+"- ", fmt.Sprintf("and %d more; -o json and -o html list them all", more))
		}
		if r.Hint != "" {
			p.paragraph(findingIndent+p.paint(faint, "→ "), Escape(r.Hint))
		}
	}
}

// findingIndent sets what is said about a finding under its sentence.
const findingIndent = "      "

func severityInk(s Severity) ink {
	switch s {
	case Info:
		return faint
	case Warn:
		return doubtful
	}
	return bad
}

// counts is "2 deny, 1 warn".
func counts(findings []Finding) string {
	var n [3]int
	for _, f := range findings {
		n[severityOrder(f.Severity)]++
	}
	var parts []string
	for i, name := range []string{"deny", "warn", "info"} {
		if n[i] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[i], name))
		}
	}
	return list(parts...)
}
