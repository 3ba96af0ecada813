package main

import (
	"fmt"
	"io"
	"math"
)

// goal is one figure that Tenon must reach.
type goal struct {
	what    string
	limit   float64
	least   bool // the figure must be at least the limit; otherwise at most
	unit    string
	got     series
	missing string // why it was not measured
}

// text is the limit as a person reads it.
func (g goal) text() string {
	sign := "≤"
	if g.least {
		sign = "≥"
	}
	return fmt.Sprintf("%s %s", sign, quantity(g.limit, g.unit))
}

// verdict says whether the median is on the right side of the limit, and otherwise by how much it is not.
func (g goal) verdict() string {
	m := g.got.median()
	switch {
	case math.IsNaN(m) && g.missing != "":
		return "not measured: " + g.missing
	case math.IsNaN(m):
		return "not measured"
	case g.least && m >= g.limit, !g.least && m <= g.limit:
		return "met"
	case g.least:
		return fmt.Sprintf("**missed** by %.0f %%", math.Ceil(100*(1-m/g.limit)))
	}
	return fmt.Sprintf("**missed** by %.0f %%", math.Ceil(100*(m/g.limit-1)))
}

func printGoals(w io.Writer, goals []goal) {
	fmt.Fprintf(w, "| what | goal | measured | |\n|---|---:|---:|---|\n")
	for _, g := range goals {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", g.what, g.text(), spread(g.got, g.unit), g.verdict())
	}
}

// quantity is a figure with three digits and its unit.
func quantity(v float64, unit string) string {
	if math.IsNaN(v) {
		return "–"
	}
	digits := 0
	switch a := math.Abs(v); {
	case a < 9.995:
		digits = 2
	case a < 99.95:
		digits = 1
	}
	text := fmt.Sprintf("%.*f", digits, v)
	switch unit {
	case "":
		return text
	case "×":
		return text + unit
	}
	return text + " " + unit
}

// spread is the median with the lowest and the highest of the rounds.
func spread(s series, unit string) string {
	low, high := s.span()
	if math.IsNaN(low) {
		return "–"
	}
	return fmt.Sprintf("%s (%s – %s)", quantity(s.median(), unit), quantity(low, ""), quantity(high, ""))
}
