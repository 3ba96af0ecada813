package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/report"
)

// tableDigits are the significant digits of a number in a table; -o json has all of them.
const tableDigits = 6

// metricTable lays out numbers with a row for each subject and a column for each name, both in the order in which they come first. It gives
// nil where there is one subject, or the table is wider than width.
func metricTable(metrics []report.Metric, width int) []string {
	var subjects, names []string
	cells := map[[2]string]string{}
	for _, m := range metrics {
		subject := report.Escape(about(m.Target, m.With))
		if !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
		if len(subjects) == 0 || subjects[len(subjects)-1] != subject && !slices.Contains(subjects, subject) {
			subjects = append(subjects, subject)
		}
		key := [2]string{subject, m.Name}
		if _, given := cells[key]; given {
			return nil // two names that look alike
		}
		cells[key] = strconv.FormatFloat(float64(m.Value), 'g', tableDigits, 64)
	}
	if len(subjects) < 2 {
		return nil
	}
	first := 0
	for _, subject := range subjects {
		first = max(first, utf8.RuneCountInString(subject))
	}
	total, widths := 2+first, make([]int, len(names))
	for i, name := range names {
		widths[i] = len(name)
		for _, subject := range subjects {
			widths[i] = max(widths[i], len(cells[[2]string{subject, name}]))
		}
		total += 2 + widths[i]
	}
	if total > width {
		return nil
	}
	row := func(subject string, cell func(name string) string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "  %-*s", first, subject)
		for i, name := range names {
			fmt.Fprintf(&b, "  %*s", widths[i], cell(name))
		}
		return b.String()
	}
	rows := []string{row("", func(name string) string { return name })}
	for _, subject := range subjects {
		rows = append(rows, row(subject, func(name string) string {
			if cell, given := cells[[2]string{subject, name}]; given {
				return cell
			}
			return "-"
		}))
	}
	return rows
}
