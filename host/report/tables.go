package report

import (
	"slices"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// grid writes a table without a frame: a faint header and rows, two spaces between columns. In columns, l sets a column to the left and r
// to the right. It reports whether the table fits the page; where it does not, nothing is written unless force, and line cuts it.
func (p *page) grid(columns string, headers []string, rows [][]string, force bool) bool {
	t := table.New().Headers(headers...).Rows(rows...).Border(lipgloss.HiddenBorder()).Wrap(false).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderColumn(false).BorderHeader(false).
		StyleFunc(func(row, col int) lipgloss.Style {
			style := lipgloss.NewStyle()
			switch {
			case strings.HasPrefix(columns[col:], "rl"): // a median and its range
				style = style.PaddingRight(1)
			case col < len(columns)-1:
				style = style.PaddingRight(2)
			}
			if columns[col] == 'r' {
				style = style.Align(lipgloss.Right)
			}
			if row == table.HeaderRow && p.color {
				style = style.Faint(true)
			}
			return style
		})
	text := t.String()
	if lipgloss.Width(text)+len(indent) > p.width && !force {
		return false
	}
	for line := range strings.SplitSeq(text, "\n") {
		p.line(indent + line)
	}
	return true
}

// ranged writes a table of groups whose cells come from fill, with the ranges of metrics when they fit the page and without otherwise.
// Columns that nothing fills are left out.
func (p *page) ranged(first string, groups []*group, fill []column) {
	fill = filled(groups, fill)
	for _, ranges := range []bool{true, false} {
		columns, headers := "lr", []string{first, "n"}
		if first == "with" && !slices.ContainsFunc(groups, func(g *group) bool { return !slices.Equal(g.targets, []string{""}) }) {
			columns, headers = "l", headers[:1] // of adapters as wholes
		}
		counted := len(headers) > 1
		for _, c := range fill {
			columns, headers = columns+"r", append(headers, c.header)
			if ranges && c.ranged {
				columns, headers = columns+"l", append(headers, "")
			}
		}
		rows := make([][]string, len(groups))
		for i, g := range groups {
			rows[i] = []string{g.label}
			if counted {
				rows[i] = append(rows[i], strconv.Itoa(len(g.targets)))
			}
			for _, c := range fill {
				middle, extremes := g.value(c.metric, c.number)
				rows[i] = append(rows[i], middle)
				if ranges && c.ranged {
					rows[i] = append(rows[i], extremes)
				}
			}
		}
		if p.grid(columns, headers, rows, !ranges) {
			return
		}
	}
}

// column is one metric of a ranged table.
type column struct {
	header, metric string
	number         format
	ranged         bool // with least and most, where there is room
}

// indent stands before everything inside a section.
const indent = "  "

// modules writes what ran, how it ended and what it cost.
func (p *page) modules(modules []Module) {
	if len(modules) == 0 {
		return
	}
	p.section("Modules", "")
	rows := make([][]string, len(modules))
	partial := false
	for i, m := range modules {
		rows[i] = []string{Escape(m.ID), Escape(m.Version), Escape(m.Status), milliseconds(m.Usage.WallMs), milliseconds(m.Usage.CompileMs),
			bytesText(m.Usage.PeakBytes), Count(max(m.Usage.HostCalls, 0))}
		partial = partial || m.Sandbox == "partial"
	}
	p.grid("lllrrrr", []string{"module", "version", "status", "time", "compile", "memory", "host calls"}, rows, true)
	for _, m := range modules {
		if m.Error != "" {
			p.paragraph(indent+p.paint(bad, Escape(m.ID))+": ", Escape(m.Error))
		}
	}
	for _, m := range modules {
		if text := stranger(m); text != "" {
			p.paragraph(indent+Escape(m.ID)+": ", p.paint(faint, text))
		}
		for _, said := range lastWords(m.Log) {
			p.paragraph(indent+p.paint(faint, Escape(m.ID)+" says: "), said)
		}
	}
	if partial {
		p.paragraph(indent, p.paint(faint, "sandbox: partial; this kernel does not offer every confinement a worker asks for"))
	}
	if twice(modules) {
		p.paragraph(indent, p.paint(faint, "each ran twice on the same input; what the two runs gave was compared bit for bit"))
	}
}

func milliseconds(ms float64) string {
	if ms >= 1000 {
		return digits(ms/1000, 3) + " s"
	}
	return digits(ms, 3) + " ms"
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return digits(float64(n)/(1<<30), 3) + " GiB"
	case n >= 1<<20:
		return digits(float64(n)/(1<<20), 3) + " MiB"
	}
	return digits(float64(n)/(1<<10), 3) + " KiB"
}
