package tokenizer

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// canonical brings a text to a normalization form as the library does: by the tables of Unicode 9, and without golang.org/x/text's limit of
// 30 marks in a row, which writes a joiner into longer ones. The algorithm is that of Unicode Standard Annex #15 with the properties of x/text.
func canonical(form norm.Form, text string) string {
	if isCanonical(form, text) {
		return text
	}
	runes := decompose(form, text)
	if form == norm.NFC || form == norm.NFKC {
		runes = compose(runes)
	}
	return string(runes)
}

func isCanonical(form norm.Form, text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 ||
		strings.IndexFunc(text, isUnnormalized) < 0 && form.IsNormalString(text)
}

func isUnnormalized(r rune) bool { return r >= 0x7FD && unicode.Is(unnormalized, r) }

// Hangul syllables are composed by arithmetic: L and V make LV, LV and T make LVT.
const (
	hangulS, hangulL, hangulV, hangulT = 0xAC00, 0x1100, 0x1161, 0x11A7
	countL, countV, countT             = 19, 21, 28
	countS                             = countL * countV * countT
)

// decompose returns the decomposed text in canonical order: marks by their class, those of one class as they came.
func decompose(form norm.Form, text string) []rune {
	full := norm.NFD
	if form == norm.NFKC || form == norm.NFKD {
		full = norm.NFKD
	}
	out := make([]rune, 0, len(text))
	for _, r := range text {
		switch {
		case r >= hangulS && r < hangulS+countS:
			s := r - hangulS
			out = append(out, hangulL+s/(countV*countT), hangulV+s%(countV*countT)/countT)
			if s%countT != 0 {
				out = append(out, hangulT+s%countT)
			}
		case r < utf8.RuneSelf || isUnnormalized(r):
			out = append(out, r)
		default:
			if d := full.PropertiesString(string(r)).Decomposition(); d != nil {
				out = append(out, []rune(string(d))...)
			} else {
				out = append(out, r)
			}
		}
	}
	for i := 0; i < len(out); {
		end := i
		for end < len(out) && classOf(out[end]) != 0 {
			end++
		}
		if end-i > 1 {
			slices.SortStableFunc(out[i:end], func(a, b rune) int { return int(classOf(a)) - int(classOf(b)) })
		}
		i = max(end, i+1)
	}
	return out
}

// classOf is the canonical combining class.
func classOf(r rune) uint8 {
	if r < 0x300 || isUnnormalized(r) {
		return 0
	}
	return norm.NFD.PropertiesString(string(r)).CCC()
}

// compose joins what can be joined with the last starter before it, in place.
func compose(runes []rune) []rune {
	out := runes[:0]
	starter := -1         // in out
	var blocked uint8 = 0 // class of the last mark that was kept since the starter
	for _, r := range runes {
		class := classOf(r)
		if starter >= 0 && (blocked < class || blocked == 0 && starter == len(out)-1) {
			if joined, ok := composite(out[starter], r); ok {
				out[starter] = joined
				continue
			}
		}
		if class == 0 {
			starter = len(out)
		}
		blocked = class
		out = append(out, r)
	}
	return out
}

func composite(a, b rune) (rune, bool) {
	switch {
	case a >= hangulL && a < hangulL+countL && b >= hangulV && b < hangulV+countV:
		return hangulS + ((a-hangulL)*countV+b-hangulV)*countT, true
	case a >= hangulS && a < hangulS+countS && (a-hangulS)%countT == 0 && b > hangulT && b < hangulT+countT:
		return a + b - hangulT, true
	}
	joined, ok := composites()[[2]rune{a, b}]
	return joined, ok
}

// composites are the pairs that a primary composite decomposes to.
var composites = sync.OnceValue(func() map[[2]rune]rune {
	pairs := map[[2]rune]rune{}
	for r := rune(0xC0); r < 0x30000; r++ {
		d := norm.NFD.PropertiesString(string(r)).Decomposition()
		if d == nil || isUnnormalized(r) || norm.NFC.String(string(r)) != string(r) {
			continue
		}
		last, size := utf8.DecodeLastRune(d)
		first := []rune(norm.NFC.String(string(d[:len(d)-size])))
		if len(first) == 1 {
			pairs[[2]rune{first[0], last}] = r
		}
	}
	return pairs
})
