package evaluation

import "strings"

// normalize splits tokens of TokenizePTB further, as METEOR's normaliser splits a text that holds them: at hyphens between letters and
// digits, which disappear, and at apostrophes. An apostrophe between letters stays with what follows it, as in n 't; one that begins a
// token is a word of its own, as in ' s.
func normalize(tokens []string) []string {
	var words []string
	for _, token := range tokens {
		runes := []rune(token)
		start := 0
		cut := func(end int) {
			if end > start {
				words = append(words, string(runes[start:end]))
			}
			start = end
		}
		for i, r := range runes {
			before, after := i > 0 && wordRune(runes[i-1]), i+1 < len(runes) && wordRune(runes[i+1])
			switch {
			case r == '-' && before && after:
				cut(i)
				start = i + 1
			case r == '\'' && before && after:
				cut(i)
			case r == '\'':
				cut(i)
				cut(i + 1)
			}
		}
		cut(len(runes))
	}
	return words
}

// normalizable says whether normalize was checked against METEOR on tokens of this form: of letters, digits, hyphens and apostrophes, a
// decimal number, or a sign of currency.
func normalizable(token string) bool {
	if token == "-lrb-" || token == "-rrb-" || strings.Trim(token, "-'") == "" {
		return false
	}
	if token == "#" || token == "$" {
		return true
	}
	inside := func(r rune) bool { return wordRune(r) || r == '-' || r == '\'' }
	if whole, fraction, decimal := strings.Cut(token, "."); decimal {
		notDigit := func(r rune) bool { return !digit(r) }
		return whole != "" && fraction != "" && !strings.ContainsFunc(whole+fraction, notDigit)
	}
	return !strings.ContainsFunc(token, func(r rune) bool { return !inside(r) })
}
