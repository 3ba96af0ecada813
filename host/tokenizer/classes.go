package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// runeSet is a set of code points: the union of its members, or all but them.
type runeSet struct {
	ascii   [2]uint64 // the answer for the code points below 128
	members []runeRange
	negate  bool
}

// runeRange is one member of a set: the code points from low to high, or those of the tables.
type runeRange struct {
	low, high rune
	tables    []*unicode.RangeTable
	negate    bool
}

func (m runeRange) has(r rune) bool {
	if m.tables == nil {
		return (m.low <= r && r <= m.high) != m.negate
	}
	return unicode.In(r, m.tables...) != m.negate
}

func (s *runeSet) search(r rune) bool {
	for _, m := range s.members {
		if m.has(r) {
			return !s.negate
		}
	}
	return s.negate
}

// seal prepares the answers for ASCII. It must be called once, after the members are complete.
func (s *runeSet) seal() *runeSet {
	for r := range rune(utf8.RuneSelf) {
		if s.search(r) {
			s.ascii[r/64] |= 1 << (r % 64)
		}
	}
	return s
}

func (s *runeSet) has(r rune) bool {
	if r < utf8.RuneSelf {
		return s.ascii[r/64]>>(r%64)&1 != 0
	}
	return s.search(r)
}

// setOf is the sealed union of tables.
func setOf(tables ...*unicode.RangeTable) *runeSet {
	s := &runeSet{members: []runeRange{{tables: tables}}}
	return s.seal()
}

var (
	letters = []*unicode.RangeTable{unicode.L, laterUpper, laterLower, laterModifier, laterOther}
	marks   = []*unicode.RangeTable{unicode.M, laterMark}
	numbers = []*unicode.RangeTable{unicode.N, laterDigit}
	spaces  = []*unicode.RangeTable{unicode.White_Space}

	// properties are those that a pattern may name as \p{…}.
	properties = map[string][]*unicode.RangeTable{
		"L": letters, "M": marks, "N": numbers,
		"Lu": {unicode.Lu, laterUpper}, "Ll": {unicode.Ll, laterLower}, "Lt": {unicode.Lt},
		"Lm": {unicode.Lm, laterModifier}, "Lo": {unicode.Lo, laterOther},
		"Nd": {unicode.Nd, laterDigit}, "Nl": {unicode.Nl}, "No": {unicode.No},
		"P": {unicode.P, laterPunctuation}, "S": {unicode.S, laterSymbol}, "Z": {unicode.Z},
		"Han": {unicode.Han, laterHan}, "Hiragana": {unicode.Hiragana}, "Katakana": {unicode.Katakana},
	}

	spaceSet = setOf(spaces...)

	// numericSet is what the pre-tokenizer Digits takes for a digit.
	numericSet = setOf(unicode.N, laterDigit, latestDigit)

	// wordSet is \w as it decides about the option single_word of an added token.
	wordSet = setOf(unicode.L, laterUpper, laterLower, laterModifier, laterOther, unicode.Nl, unicode.Other_Alphabetic,
		unicode.M, laterMark, unicode.Nd, laterDigit, unicode.Pc, unicode.Join_Control)
)
