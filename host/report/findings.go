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

// findings writes every finding. Findings that differ in target and message only share one heading and one hint.
func (p *page) findings(findings []Finding) {
	if len(findings) == 0 {
		return
	}
	p.section("Findings", counts(findings))
	type key struct {
		severity           Severity
		module, code, hint string
	}
	var order []key
	byKey := map[key][]Finding{}
	for _, f := range findings {
		k := key{f.Severity, f.Module, f.Code, f.Hint}
		if byKey[k] == nil {
			order = append(order, k)
		}
		byKey[k] = append(byKey[k], f)
	}
	for i, k := range order {
		if i > 0 {
			p.WriteString("\n")
		}
		p.finding(byKey[k])
	}
}

// finding writes findings that have everything but target, message and numbers in common.
func (p *page) finding(same []Finding) {
	f := same[0]
	title := p.paint(severityInk(f.Severity), fmt.Sprintf("%-5s", strings.ToUpper(Escape(string(f.Severity))))) + " " + p.paint(strong, Escape(f.Code))
	if f.Module != "" {
		title += "  " + p.paint(faint, Escape(f.Module))
	}
	if len(same) > 1 {
		title += "  " + p.paint(faint, fmt.Sprintf("%d times", len(same)))
	}
	p.line(indent + title)

	if oneMessage(same) && len(same) > 1 {
		p.paragraph(findingIndent, Escape(f.Message))
		for _, each := range same {
			p.paragraph(findingIndent+"- ", Escape(each.Target))
		}
	} else {
		bullet := findingIndent
		if len(same) > 1 {
			bullet += "- "
		}
		for _, each := range same {
			p.paragraph(bullet, sentence(each))
		}
	}
	if f.Hint != "" {
		p.paragraph(findingIndent+p.paint(faint, "→ "), Escape(f.Hint))
	}
}

// sentence is what a finding says: the target unless the message names it, the message, and the number with its limit.
func sentence(f Finding) string {
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

// findingIndent sets what is said about a finding under its code.
const findingIndent = indent + "      "

// oneMessage reports whether the findings say the same about different targets, and no numbers.
func oneMessage(same []Finding) bool {
	return !slices.ContainsFunc(same, func(f Finding) bool {
		return f.Message != same[0].Message || f.Target == "" || f.Value != 0 || f.Limit != 0
	})
}

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
