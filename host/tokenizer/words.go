package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// contractions are the first alternatives of the pattern below, in its order.
var contractions = [...]string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

// wordLength returns the length in bytes of the first match of GPT-2's pattern in s, which is valid UTF-8 and not empty:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// It is written by hand because RE2 has no look-ahead. Every code point belongs to one class, so the matches cover the text.
func wordLength(s string) int {
	if s[0] == '\'' {
		for _, c := range contractions {
			if strings.HasPrefix(s, c) {
				return len(c)
			}
		}
	}
	lead := 0
	if s[0] == ' ' && len(s) > 1 {
		lead = 1
	}
	r, size := utf8.DecodeRuneInString(s[lead:])
	class := classOf(r)
	if class == space {
		return spaceLength(s)
	}
	end := lead + size
	for end < len(s) {
		r, size = utf8.DecodeRuneInString(s[end:])
		if classOf(r) != class {
			break
		}
		end += size
	}
	return end
}

// spaceLength is the match of \s+(?!\S)|\s+ at a white space: the whole run at the end of the text, else all but its last code point,
// which belongs to the next word; a single one stands alone.
func spaceLength(s string) int {
	end, last := 0, 0
	for end < len(s) {
		r, size := utf8.DecodeRuneInString(s[end:])
		if !unicode.IsSpace(r) {
			break
		}
		end, last = end+size, size
	}
	if end < len(s) && end > last {
		return end - last
	}
	return end
}

type class uint8

const (
	other class = iota
	letter
	number
	space
)

// classOf follows Go's Unicode tables: \p{L}, \p{N} and White_Space, which is what \s means in the tokenizers library. All code points
// assigned in Unicode 15.0 were compared with tokenizers 0.23.3 and agree; letters that later versions added are other until Go knows them.
func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}
