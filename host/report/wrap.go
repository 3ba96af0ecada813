package report

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// Wrap folds text to lines of width cells. The first begins with first, the others are indented as far as that is wide. Lines end at spaces
// alone, so that a path, a flag or a number below zero stays in one piece; only what is longer than a line is cut, behind a slash or a
// hyphen where there is one. A style that is on where a line ends is taken up again on the next.
func Wrap(first, text string, width int) []string {
	indent := lipgloss.Width(first)
	var folded strings.Builder
	w := lipgloss.NewWrapWriter(&folded)
	_, _ = w.Write([]byte(fill(text, max(width-indent, 16)))) // into memory, which takes everything
	_ = w.Close()
	lines := strings.Split(folded.String(), "\n")
	for i, line := range lines {
		lines[i] = first + strings.TrimLeft(line, " ")
		first = strings.Repeat(" ", indent)
	}
	return lines
}

// fill puts the ends of lines into text.
func fill(text string, width int) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		used, spaces := 0, 0
		for _, word := range strings.Split(line, " ") {
			wide := lipgloss.Width(word)
			if used > 0 && used+spaces+wide > width {
				b.WriteByte('\n')
				used, spaces = 0, 0
			}
			b.WriteString(strings.Repeat(" ", spaces))
			used += spaces
			if wide > width {
				word = lipgloss.Wrap(word, width, "/")
				wide = lipgloss.Width(word[strings.LastIndexByte(word, '\n')+1:])
			}
			b.WriteString(word)
			used += wide
			spaces = 1
		}
	}
	return b.String()
}
