package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
)

// TextOptions says how Text renders.
type TextOptions struct {
	Width int  // cells of a line; 0 means 80, and less than 40 is taken as 40
	Color bool // ANSI colours; no meaning is in colour alone
}

// Text writes r for a person at a terminal, answers first: the verdict, every finding with what it means and what to do, and what the
// numbers say to the questions a person has; then what was checked, tables that sum the numbers up, and what ran. No line is wider than
// opts.Width. What the adapter, the base and the modules wrote goes through Escape.
func Text(w io.Writer, r *Report, opts TextOptions) error {
	if opts.Width == 0 {
		opts.Width = 80
	}
	p := &page{width: max(opts.Width, 40), color: opts.Color}
	p.verdict(r)
	if len(r.Findings) > 0 {
		p.WriteString("\n")
		p.findings(r)
	}
	p.answers(r)
	p.header(r)
	p.summaries(r)
	p.probes(r.Probe)
	p.whole(r)
	p.modules(r.Modules)
	if _, err := io.WriteString(w, p.String()); err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	return nil
}

// page collects lines and keeps them inside its width.
type page struct {
	strings.Builder
	width int
	color bool
}

// labelWidth is the column at which the header's values begin.
const labelWidth = 10

// ink is a colour with a meaning.
type ink int

const (
	plainInk ink = iota
	strong       // headings
	faint        // what is read second
	good
	doubtful
	bad
)

// paint styles text, which is already escaped; without colour it is text as it stands.
func (p *page) paint(i ink, text string) string {
	if !p.color || i == plainInk {
		return text
	}
	style := lipgloss.NewStyle()
	switch i {
	case strong:
		style = style.Bold(true)
	case faint:
		style = style.Faint(true)
	case good:
		style = style.Bold(true).Foreground(lipgloss.Green)
	case doubtful:
		style = style.Bold(true).Foreground(lipgloss.Yellow)
	case bad:
		style = style.Bold(true).Foreground(lipgloss.Red)
	}
	return style.Render(text)
}

// line writes one line, cut where it would leave the page.
func (p *page) line(text string) {
	if lipgloss.Width(text) > p.width {
		text = lipgloss.NewStyle().MaxWidth(p.width).Render(text)
	}
	p.WriteString(strings.TrimRight(text, " ") + "\n")
}

// paragraph wraps text under first.
func (p *page) paragraph(first, text string) {
	for _, line := range Wrap(first, text, p.width) {
		p.line(line)
	}
}

// section begins a titled part.
func (p *page) section(title, note string) {
	p.WriteString("\n")
	p.paragraph("", p.paint(strong, title)+"  "+p.paint(faint, note))
}

// verdicts are the words for each verdict. Anything unknown is closed and shown in red.
var verdicts = map[Verdict]struct {
	ink    ink
	name   string
	phrase string
}{
	Admit:        {good, "ADMIT", "the adapter may be merged"},
	WarnVerdict:  {doubtful, "WARN", "the adapter may be merged; read the warnings first"},
	Deny:         {bad, "DENY", "the adapter is refused"},
	Inconclusive: {bad, "INCONCLUSIVE", "a diagnostic did not run to its end, so the gate stays closed"},
}

// ruling is how a verdict is told.
func ruling(v Verdict) (i ink, name, phrase string) {
	if known, ok := verdicts[v]; ok {
		return known.ink, known.name, known.phrase
	}
	return bad, "UNKNOWN", fmt.Sprintf("%q is no verdict, so the gate stays closed", Escape(string(v)))
}

func (p *page) verdict(r *Report) {
	ink, name, phrase := ruling(r.Verdict)
	p.paragraph(p.paint(ink, name)+"  ", phrase)
}

func (p *page) answers(r *Report) {
	all := answers(r)
	if len(all) == 0 {
		return
	}
	p.section("In short", "")
	for _, a := range all {
		p.paragraph(indent+p.paint(faint, fmt.Sprintf("%-28s", a.Question)), a.Text)
	}
}

func (p *page) header(r *Report) {
	p.section("What was checked", "")
	for _, f := range subject(r) {
		p.field(f[0], f[1])
	}
}

// subject is what was checked against what, as labels and values. Values are escaped.
func subject(r *Report) [][2]string {
	a := r.Adapter
	fields := [][2]string{
		{"adapter", Escape(a.Ref)},
		{"", list(Escape(a.Format), ranks(a.Rank), scales(a.Scale), parameters(a.Parameters), shortDigest(a.Digest))},
		{"base", Escape(r.Base.Ref)},
		{"", list(Escape(r.Base.DType), parameters(r.Base.Parameters), shortDigest(r.Base.Digest))},
		{"policy", list(Escape(r.Policy.Name), shortDigest(r.Policy.Digest))},
	}
	if b := r.Bank; b != nil {
		fields = append(fields, [2]string{"bank", list(plural(b.Adapters, "adapter"), shortDigest(b.Digest))})
	}
	for i, peer := range r.Peers {
		label := ""
		if i == 0 {
			label = "with"
		}
		fields = append(fields, [2]string{label, list(Escape(peer.Ref), shortDigest(peer.Digest))})
	}
	return append(fields, [2]string{"coverage", coverage(r.Coverage)})
}

// field writes a labelled value of the header; an empty value is left out.
func (p *page) field(label, value string) {
	if value == "" {
		return
	}
	p.paragraph(indent+p.paint(faint, fmt.Sprintf("%-*s", labelWidth, label)), value)
}

// coverage is "84 of 84 tensors applied", and what became of the others.
func coverage(c Coverage) string {
	total := c.Applied + c.Replaced + c.Ignored + c.Rejected
	parts := []string{fmt.Sprintf("%d of %s applied", c.Applied, plural(total, "tensor"))}
	for _, other := range []struct {
		n    int
		name string
	}{{c.Replaced, "replaced"}, {c.Ignored, "ignored"}, {c.Rejected, "rejected"}} {
		if other.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", other.n, other.name))
		}
	}
	return list(parts...)
}

// list joins what is not empty.
func list(parts ...string) string {
	kept := parts[:0]
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ", ")
}

func ranks(values []int) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, strconv.Itoa(v))
	}
	return named("rank", parts)
}

func scales(values []Number) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, digits(float64(v), 4))
	}
	return named("scale", parts)
}

// named is "rank 8" or "ranks 4 8 16", shortened where there are many.
func named(noun string, values []string) string {
	switch n := len(values); {
	case n == 0:
		return ""
	case n == 1:
		return noun + " " + values[0]
	case n > 6:
		return fmt.Sprintf("%d %ss from %s to %s", n, noun, values[0], values[n-1])
	}
	return noun + "s " + strings.Join(values, " ")
}

func parameters(n int64) string {
	if n == 0 {
		return ""
	}
	return Count(n) + " parameters"
}

// Count writes n with a comma between groups of three digits. n is not negative.
func Count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// shortDigest keeps 16 hexadecimal digits, enough to compare by eye; the JSON report has all of them.
func shortDigest(digest string) string {
	const kept = len("sha256:") + 16
	digest = Escape(digest)
	if len(digest) <= kept {
		return digest
	}
	return digest[:kept]
}
