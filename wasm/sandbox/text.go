package sandbox

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain makes foreign text safe to print: valid UTF-8 of at most limit bytes, line breaks and tabs kept, every other control character
// and every character that reorders text replaced.
func Plain(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r) && r != '\u2028' && r != '\u2029' {
			return r
		}
		return '\ufffd'
	}, text)
	return cut(text, limit)
}

// line is Plain on one line.
func line(text string, limit int) string {
	return Plain(strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(text), limit)
}

// cut shortens text to limit bytes without splitting a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const mark = "…"
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// isName reports whether text is a metric or grid name: [a-z][a-z0-9_]{0,63}.
func isName(text string) bool { return matches(text, 1, 'a', 'z') }

// isCode reports whether text is a finding's code: [A-Z][A-Z0-9_]{1,63}.
func isCode(text string) bool { return matches(text, 2, 'A', 'Z') }

func matches(text string, shortest int, first, last byte) bool {
	if len(text) < shortest || len(text) > maxIdentifier {
		return false
	}
	for i := range len(text) {
		c := text[i]
		letter := c >= first && c <= last
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// ValidMetric says what is wrong with a metric's or grid's name, and ValidFinding with a finding's texts, so that a process that receives
// results can hold them to what Run promises.
func ValidMetric(name string) error {
	if !isName(name) {
		return fmt.Errorf("%q is not a metric name: lower case letters, digits and underscores, at most %d", cut(name, 80), maxIdentifier)
	}
	return nil
}

// ValidFinding is explained at ValidMetric.
func ValidFinding(f Finding) error {
	switch {
	case !isCode(f.Code):
		return fmt.Errorf("%q is not a finding's code: capitals, digits and underscores, at most %d", cut(f.Code, 80), maxIdentifier)
	case f.Severity < 0 || f.Severity > 2:
		return fmt.Errorf("severity %d", f.Severity)
	case f.Message != line(f.Message, maxText) || f.Hint != line(f.Hint, maxText):
		return fmt.Errorf("finding %s has a text that is not one plain line of at most %d bytes", f.Code, maxText)
	}
	return nil
}

const (
	maxIdentifier = 64      // bytes of a metric's name or a finding's code
	maxText       = 1 << 10 // bytes of a finding's message, and of its hint
)
