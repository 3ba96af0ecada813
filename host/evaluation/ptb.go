package evaluation

import (
	"slices"
	"strings"
)

// dropped are the tokens that ROUGE-L and CIDEr do not see. Brackets arrive lower-cased, as -lrb-, and therefore stay.
var dropped = []string{"''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"}

// contractions are split off the word before them.
var contractions = []string{"n't", "'s", "'re", "'ve", "'ll", "'d", "'m"}

// Verified says whether TokenizePTB was compared with the tokenizer it stands in for on texts with this character.
func Verified(r rune) bool { return wordRune(r) || strings.ContainsRune(" .,'-?£;:$!\"()/&", r) }

func wordRune(r rune) bool { return letter(r) || digit(r) || r == 'é' }
func letter(r rune) bool   { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
func digit(r rune) bool    { return '0' <= r && r <= '9' }

// TokenizePTB splits a segment of E2E text as the Penn Treebank tokenizer of the evaluation scripts does, lower-cases it and drops
// punctuation. It is no general tokenizer: it was made from observed behaviour, and equals the original on every reference of that data
// set. A text with a character that is not Verified gets tokens, but nobody knows whether the right ones.
func TokenizePTB(segment string) []string {
	t := ptbScanner{runes: []rune(strings.TrimFunc(segment, space))}
	for t.at < len(t.runes) {
		t.next()
	}
	return slices.DeleteFunc(each(t.words, strings.ToLower), func(w string) bool { return slices.Contains(dropped, w) })
}

// ptbScanner is a segment being split.
type ptbScanner struct {
	runes  []rune
	at     int // where the next token begins
	quotes int // double quotes so far
	words  []string
}

// peek is the character at a position, or 0 outside the text.
func (t *ptbScanner) peek(i int) rune {
	if i < 0 || i >= len(t.runes) {
		return 0
	}
	return t.runes[i]
}

// run is where a run of characters ends that begins at i.
func (t *ptbScanner) run(i int, in func(rune) bool) int {
	for i < len(t.runes) && in(t.runes[i]) {
		i++
	}
	return i
}

// next reads white space or one token.
func (t *ptbScanner) next() {
	if space(t.runes[t.at]) {
		t.at++
		return
	}
	dots, dashes := t.at, t.run(t.at, func(r rune) bool { return r == '-' })
	for dots < t.at+3 && t.peek(dots) == '.' {
		dots++
	}
	if end := t.contraction(); end > t.at {
		t.take(end, string(t.runes[t.at:end]))
	} else if dots == t.at+3 {
		t.take(dots, "...")
	} else if dashes >= t.at+2 {
		t.take(dashes, "--")
	} else if end := t.number(); end > t.at {
		t.take(end, splitContractions(string(t.runes[t.at:end]))...)
	} else if end := t.word(); end > t.at {
		t.take(end, splitContractions(string(t.runes[t.at:end]))...)
		if t.peek(end) == '.' && t.peek(end+1) == ',' { // the original takes the word for an abbreviation
			t.words[len(t.words)-1] += "."
			t.at++
		}
	} else {
		t.take(t.at+1, t.sign())
	}
}

func (t *ptbScanner) take(end int, words ...string) {
	t.words = append(t.words, words...)
	t.at = end
}

// contraction is where a contraction ends that stands alone, as in "is n't", or t.at.
func (t *ptbScanner) contraction() int {
	for _, c := range contractions {
		end := t.at + len(c)
		if end > len(t.runes) || !strings.EqualFold(string(t.runes[t.at:end]), c) {
			continue
		}
		if r := t.peek(end); end == len(t.runes) || !digit(r) && !letter(r) && r != '\'' {
			return end
		}
	}
	return t.at
}

// number is where a number ends, or t.at: digits with single . , : / - between them, and a minus sign if nothing but space or a currency
// or bracket is before it. What follows may not make it part of a word; if it does, the number ends at an earlier separator where it
// does not.
func (t *ptbScanner) number() int {
	i := t.at
	if before := t.peek(i - 1); t.peek(i) == '-' && (i == 0 || space(before) || strings.ContainsRune("(£$", before)) {
		i++
	}
	end := t.at
	for {
		stop := t.run(i, digit)
		if stop == i {
			return end
		}
		if r := t.peek(stop); stop == len(t.runes) || !digit(r) && !letter(r) && (r != '-' || !letter(t.peek(stop+1))) {
			end = stop
		}
		if !strings.ContainsRune(".,:/-", t.peek(stop)) {
			return end
		}
		i = stop + 1
	}
}

// word is where a word ends, or t.at: letters and digits, with single apostrophes, hyphens, full stops, ampersands and slashes between
// them.
func (t *ptbScanner) word() int {
	end := t.run(t.at, wordRune)
	if end == t.at {
		return end
	}
	for strings.ContainsRune("'-.&/", t.peek(end)) {
		stop := t.run(end+1, wordRune)
		if stop == end+1 {
			break
		}
		end = stop
	}
	return end
}

// sign is the token of a single sign.
func (t *ptbScanner) sign() string {
	switch r := t.runes[t.at]; r {
	case '£':
		return "#"
	case '(':
		return "-lrb-"
	case ')':
		return "-rrb-"
	case '"':
		closing := t.quotes%2 == 1
		t.quotes++
		before, after := t.peek(t.at-1), t.peek(t.at+1)
		if (t.at == 0 || space(before) || before == '(') && !(closing && space(after)) {
			return "``"
		}
		return "''"
	default:
		return string(r)
	}
}

// splitContractions splits "doesn't" into does and n't, and "cannot" into can and not.
func splitContractions(word string) []string {
	for _, c := range contractions {
		if cut := len(word) - len(c); cut > 0 && strings.EqualFold(word[cut:], c) {
			return append(splitContractions(word[:cut]), word[cut:])
		}
	}
	if strings.EqualFold(word, "cannot") {
		return []string{word[:3], word[3:]}
	}
	return []string{word}
}
