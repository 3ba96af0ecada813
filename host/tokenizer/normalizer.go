package tokenizer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normalizer is one step that a text goes through before it is split.
type normalizer func(string) string

// normalize applies all of the file's normalizers to a text, which is not empty.
func (t *Tokenizer) normalize(text string) string {
	for _, n := range t.normalizers {
		text = n(text)
	}
	return text
}

// prepend puts something in front of every text but the empty one.
func prepend(what string) normalizer {
	return func(text string) string {
		if text == "" {
			return ""
		}
		return what + text
	}
}

func replaceText(old, by string) normalizer {
	return func(text string) string { return strings.ReplaceAll(text, old, by) }
}

func stripSpace(left, right bool) normalizer {
	return func(text string) string {
		if left {
			text = strings.TrimLeftFunc(text, spaceSet.has)
		}
		if right {
			text = strings.TrimRightFunc(text, spaceSet.has)
		}
		return text
	}
}

// lowercase follows Unicode 17 code point by code point; Go's tables are of Unicode 15.
func lowercase(text string) string {
	var out strings.Builder
	out.Grow(len(text))
	for _, r := range text {
		if r == 'İ' {
			out.WriteString("i\u0307")
			continue
		}
		out.WriteRune(lowerOf(r))
	}
	return out.String()
}

func lowerOf(r rune) rune {
	switch {
	case r < 0x1C89:
	case r >= 0x10D50 && r <= 0x10D65:
		return r + 0x20
	case r >= 0x16EA0 && r <= 0x16EB8:
		return r + 27
	case r == 0xA7CB:
		return 0x264
	case r == 0xA7DC:
		return 0x19B
	case r == 0x1C89, r == 0xA7CC, r == 0xA7CE, r == 0xA7D2, r == 0xA7D4, r == 0xA7DA:
		return r + 1
	}
	return unicode.ToLower(r)
}

// forms are the Unicode normalization forms by the names the library gives them.
var forms = map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}

// formGrowth is how many times as long, in bytes of UTF-8, a text becomes at most: see Unicode's FAQ on normalization.
var formGrowth = map[string]int{"NFC": 3, "NFD": 3, "NFKC": 11, "NFKD": 11}
