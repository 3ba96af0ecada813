package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is a string whose bytes know whether they are foreign.
type Text struct {
	s       string
	foreign []bool // one for each byte; nil: none is
}

// Own is text of the template's side.
func Own(s string) Text { return Text{s: s} }

// Foreign is text of somebody else.
func Foreign(s string) Text {
	if s == "" {
		return Text{}
	}
	marks := make([]bool, len(s))
	for i := range marks {
		marks[i] = true
	}
	return Text{s, marks}
}

// String is the text without its marks.
func (t Text) String() string { return t.s }

// Spans calls yield for each longest piece of one origin, in order.
func (t Text) Spans(yield func(piece string, foreign bool) bool) {
	for start := 0; start < len(t.s); {
		end := start + 1
		for end < len(t.s) && t.at(end) == t.at(start) {
			end++
		}
		if !yield(t.s[start:end], t.at(start)) {
			return
		}
		start = end
	}
}

// at reports whether a byte is foreign.
func (t Text) at(i int) bool { return t.foreign != nil && t.foreign[i] }

// cut is the bytes from i to j.
func (t Text) cut(i, j int) Text {
	if t.foreign == nil {
		return Text{s: t.s[i:j]}
	}
	return Text{t.s[i:j], t.foreign[i:j]}
}

// runes are the text's code points, each with its marks.
func (t Text) runes() []Text {
	out := make([]Text, 0, len(t.s))
	for i := 0; i < len(t.s); {
		_, n := utf8.DecodeRuneInString(t.s[i:])
		out = append(out, t.cut(i, i+n))
		i += n
	}
	return out
}

// builder joins texts.
type builder struct {
	s       strings.Builder
	foreign []bool
}

func (b *builder) write(t Text) {
	if t.foreign != nil && b.foreign == nil {
		b.foreign = make([]bool, b.s.Len(), b.s.Len()+len(t.s))
	}
	if t.foreign != nil {
		b.foreign = append(b.foreign, t.foreign...)
	} else if b.foreign != nil {
		b.foreign = append(b.foreign, make([]bool, len(t.s))...)
	}
	b.s.WriteString(t.s)
}

func (b *builder) text() Text { return Text{b.s.String(), b.foreign} }

func concat(parts ...Text) Text {
	var b builder
	for _, part := range parts {
		b.write(part)
	}
	return b.text()
}

// mapRunes replaces each code point by a string, which has the code point's origin.
func (t Text) mapRunes(replace func(rune) string) Text {
	var b builder
	for i, r := range t.s {
		piece := Own(replace(r))
		if t.at(i) {
			piece = Foreign(piece.s)
		}
		b.write(piece)
	}
	return b.text()
}

// isSpace is Python's str.isspace of one code point.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// strip cuts code points of a set from the ends, or white space where the set is nil.
func (t Text) strip(set *string, left, right bool) Text {
	in := isSpace
	if set != nil {
		in = func(r rune) bool { return strings.ContainsRune(*set, r) }
	}
	i, j := 0, len(t.s)
	if left {
		i = len(t.s) - len(strings.TrimLeftFunc(t.s, in))
	}
	if right {
		j = max(i, len(strings.TrimRightFunc(t.s, in)))
	}
	return t.cut(i, j)
}

// split is Python's str.split: at a separator, or at runs of white space where it is nil; limit below 0 is none.
func (t Text) split(sep *string, limit int) []Text {
	var out []Text
	rest := t
	if sep != nil {
		for limit < 0 || len(out) < limit {
			i := strings.Index(rest.s, *sep)
			if i < 0 {
				break
			}
			out = append(out, rest.cut(0, i))
			rest = rest.cut(i+len(*sep), len(rest.s))
		}
		return append(out, rest)
	}
	for rest = rest.strip(nil, true, false); rest.s != ""; rest = rest.strip(nil, true, false) {
		i := strings.IndexFunc(rest.s, isSpace)
		if limit >= 0 && len(out) >= limit || i < 0 {
			return append(out, rest)
		}
		out = append(out, rest.cut(0, i))
		rest = rest.cut(i, len(rest.s))
	}
	return out
}

// splitRight is Python's str.rsplit at a separator.
func (t Text) splitRight(sep string, limit int) []Text {
	var out []Text
	rest := t
	for limit < 0 || len(out) < limit {
		i := strings.LastIndex(rest.s, sep)
		if i < 0 {
			break
		}
		out = append([]Text{rest.cut(i+len(sep), len(rest.s))}, out...)
		rest = rest.cut(0, i)
	}
	return append([]Text{rest}, out...)
}

// replace is Python's str.replace; limit below 0 is none.
func (t Text) replace(old string, with Text, limit int) Text {
	var b builder
	if old == "" {
		n := 0
		for i, piece := range append(t.runes(), Text{}) {
			if limit < 0 || n < limit {
				b.write(with)
				n++
			}
			if i < utf8.RuneCountInString(t.s) {
				b.write(piece)
			}
		}
		return b.text()
	}
	for i, piece := range t.split(&old, limit) {
		if i > 0 {
			b.write(with)
		}
		b.write(piece)
	}
	return b.text()
}
