package sweep

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/report"
)

// randomNote goes with every table that shows an amplification (diagnostics.md, section 0, item 1).
const randomNote = "amplif. is ‖ΔW‖/‖UᵀWV‖, and random is the same for directions without meaning: both fall as the rank grows, so a falling " +
	"amplification alone says nothing. lift is what the directions have to do with the weight: 1 is chance. eff. rank is the exponential of the " +
	"entropy of ΔW's singular values."

// Text writes a sweep for a person at a terminal of 80 columns: the answer first, then the results, then what the changes look like. reason
// stands in place of a choice that is nil.
func (s *Sweep) Text(w io.Writer, c *Choice, reason string) error {
	p := &page{}
	if c != nil {
		for i, sentence := range c.Sentences() {
			p.paragraph([]string{"RANK  ", "      "}[min(i, 1)], report.Escape(sentence))
		}
	} else {
		p.paragraph("      ", report.Escape(reason))
	}
	s.results(p)
	for _, kind := range s.kindNames() {
		s.kindTable(p, kind)
	}
	if len(s.kindNames()) > 0 {
		p.WriteString("\n")
		p.paragraph("  ", randomNote)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// width is that of a page, in columns.
const width = 80

type page struct{ strings.Builder }

func (p *page) paragraph(first, text string) {
	for _, line := range report.Wrap(first, text, width) {
		p.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// nameWidth is how much of an adapter's name is shown.
const nameWidth = 18

// table writes rows whose cells are set to the right, but for the second, the adapter.
func (p *page) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := " "
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 1 {
				line += "  " + cell + padding
			} else {
				line += "  " + padding + cell
			}
		}
		p.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// columnsAtOnce is how many columns of results stand side by side.
const columnsAtOnce = 4

// results writes the evaluation, and below several runs of one rank by how much they differ.
func (s *Sweep) results(p *page) {
	for group := range slices.Chunk(s.Columns, columnsAtOnce) {
		p.WriteString("\nResults\n")
		header := []string{"rank", "adapter"}
		for _, column := range group {
			header = append(header, cut(report.Escape(column), 11))
		}
		p.table(append([][]string{header}, s.rows(len(group), func(run *Run, i int) (float64, bool) {
			v, ok := run.Evaluation[group[i]]
			return v, ok
		})...))
	}
}

// kindTable writes the medians of one kind of weight.
func (s *Sweep) kindTable(p *page, kind string) {
	label, least, most := "", math.MaxInt, 0
	for i := range s.Runs {
		if k := s.Runs[i].kind(kind); k != nil {
			label, least, most = k.Label, min(least, k.Weights), max(most, k.Weights)
		}
	}
	layers := strconv.Itoa(most)
	if least != most {
		layers = fmt.Sprintf("%d to %d", least, most)
	}
	fmt.Fprintf(p, "\n%s  median over %s weights\n", label, layers)
	header := []string{"rank", "adapter"}
	for _, m := range Measures() {
		header = append(header, m.Title)
	}
	p.table(append([][]string{header}, s.rows(len(Measures()), func(run *Run, i int) (float64, bool) {
		k := run.kind(kind)
		if k == nil {
			return 0, false
		}
		v, ok := k.Medians[Measures()[i].Metric]
		return float64(v), ok
	})...))
}

// rows are a row for each run, and one of spreads below several runs of one rank.
func (s *Sweep) rows(columns int, value func(run *Run, column int) (float64, bool)) [][]string {
	var rows [][]string
	for _, rank := range s.ranks() {
		found, runs := make([][]float64, columns), 0
		for i := range s.Runs {
			run := &s.Runs[i]
			if run.Rank != rank {
				continue
			}
			runs++
			row := []string{run.rankText(), cut(report.Escape(run.Name), nameWidth)}
			for c := range columns {
				v, ok := value(run, c)
				if !ok {
					row = append(row, "-")
					continue
				}
				row = append(row, number(v))
				found[c] = append(found[c], v)
			}
			rows = append(rows, row)
		}
		if runs < 2 {
			continue
		}
		row := []string{"", fmt.Sprintf("these %d differ by", runs)}
		for _, values := range found {
			if len(values) < 2 {
				row = append(row, "-")
				continue
			}
			row = append(row, number(slices.Max(values)-slices.Min(values)))
		}
		rows = append(rows, row)
	}
	return rows
}

// rankText is the rank of a run: the largest, with a mark where it has several.
func (r *Run) rankText() string {
	if len(r.Ranks) > 1 {
		return "≤" + strconv.Itoa(r.Rank)
	}
	return strconv.Itoa(r.Rank)
}

// cut keeps the end of a name, which tells more than its beginning.
func cut(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return "…" + string(runes[len(runes)-width+1:])
}

// number writes four significant digits, without an exponent where the number is of a usual size.
func number(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v), math.IsInf(v, 0), v == 0:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case size < 0.001 || size >= 1e6:
		return strconv.FormatFloat(v, 'e', 2, 64)
	case size >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case size >= 1:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}
