package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// class reads a bracketed set of code points.
func (p *patternParser) class() (*runeSet, error) {
	p.take("[")
	s := &runeSet{negate: p.take("^")}
	if p.fold && s.negate {
		return nil, fmt.Errorf("a negated class inside (?i:…) is not supported")
	}
	for !p.take("]") {
		first, err := p.member()
		if err != nil {
			return nil, err
		}
		if first.tables == nil && !first.negate && strings.HasPrefix(p.rest, "-") && !strings.HasPrefix(p.rest, "-]") {
			p.take("-")
			last, err := p.member()
			if err != nil {
				return nil, err
			}
			if last.tables != nil || last.low < first.low || p.fold {
				return nil, fmt.Errorf("a range of this kind is not supported")
			}
			first.high = last.low
		}
		s.members = append(s.members, p.folded(first)...)
	}
	if len(s.members) == 0 {
		return nil, fmt.Errorf("an empty class is not supported")
	}
	return s.seal(), nil
}

// member reads one code point or property inside brackets.
func (p *patternParser) member() (runeRange, error) {
	switch {
	case p.rest == "":
		return runeRange{}, fmt.Errorf("a class without its end")
	case p.rest[0] == '\\':
		return p.escape()
	case p.rest[0] == '[', p.rest[0] == ']', p.rest[0] == '-' && !strings.HasPrefix(p.rest, "-]"), strings.HasPrefix(p.rest, "&&"):
		return runeRange{}, fmt.Errorf("%q in a class is not supported here", p.rest[:1])
	}
	r, size := utf8.DecodeRuneInString(p.rest)
	if p.fold && r >= utf8.RuneSelf {
		return runeRange{}, fmt.Errorf("%q inside (?i:…) is not supported", r)
	}
	p.rest = p.rest[size:]
	return runeRange{low: r, high: r}, nil
}

// escape reads what begins with a backslash.
func (p *patternParser) escape() (runeRange, error) {
	one := func(r rune) (runeRange, error) { return runeRange{low: r, high: r}, nil }
	if len(p.rest) < 2 {
		return runeRange{}, fmt.Errorf("a backslash at the end")
	}
	c := p.rest[1]
	if p.fold && strings.IndexByte("sSdDpP", c) >= 0 {
		return runeRange{}, fmt.Errorf(`\%c inside (?i:…) is not supported`, c)
	}
	if c == 'p' || c == 'P' {
		name, rest, ok := strings.Cut(p.rest[2:], "}")
		tables := properties[strings.TrimPrefix(name, "{")]
		if !ok || !strings.HasPrefix(name, "{") || tables == nil {
			return runeRange{}, fmt.Errorf("the property %.32q is not supported", p.rest)
		}
		p.rest = rest
		return runeRange{tables: tables, negate: c == 'P'}, nil
	}
	rest := p.rest
	p.rest = p.rest[2:]
	switch {
	case c == 's' || c == 'S':
		return runeRange{tables: spaces, negate: c == 'S'}, nil
	case c == 'd' || c == 'D':
		return runeRange{tables: properties["Nd"], negate: c == 'D'}, nil
	case c == 'r':
		return one('\r')
	case c == 'n':
		return one('\n')
	case c == 't':
		return one('\t')
	case c < utf8.RuneSelf && (unicode.IsPunct(rune(c)) || unicode.IsSymbol(rune(c))) && c != '<' && c != '>' && c != '`' && c != '\'':
		return one(rune(c))
	}
	p.rest = rest
	return runeRange{}, fmt.Errorf("the escape %.2q is not supported", rest)
}

// folded adds the other cases of an ASCII letter inside (?i:…). Two letters have a third case beyond ASCII.
func (p *patternParser) folded(m runeRange) []runeRange {
	if !p.fold || m.low|0x20 < 'a' || m.low|0x20 > 'z' {
		return []runeRange{m}
	}
	lower, upper := m.low|0x20, m.low&^0x20
	out := []runeRange{{low: lower, high: lower}, {low: upper, high: upper}}
	switch lower {
	case 's':
		out = append(out, runeRange{low: 'ſ', high: 'ſ'})
	case 'k':
		out = append(out, runeRange{low: '\u212A', high: '\u212A'})
	}
	return out
}
