package chat

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/chat/jinja"
	"github.com/tenon-ml/tenon/host/tokenizer"
)

// Encode returns the ids of a rendered text. They are those of the whole text, as transformers has them, except that a special token which is
// not written by the template alone is no token but the text that it looks like: nobody can end his turn in a message, or begin another's.
func Encode(tok *tokenizer.Tokenizer, text jinja.Text) []int32 {
	whole := text.String()
	own := make([]bool, 0, len(whole))
	for piece, foreign := range text.Spans {
		for range len(piece) {
			own = append(own, !foreign)
		}
	}
	return encode(tok, whole, own)
}

// encode cuts a text inside all its forged special tokens at once, so that the work does not grow with their number; what a cut uncovers is
// looked at again.
func encode(tok *tokenizer.Tokenizer, text string, own []bool) []int32 {
	ids := tok.Encode(text, false)
	cuts := forged(tok, ids, text, own)
	if len(cuts) == 0 {
		return ids
	}
	ids = ids[:0:0]
	start := 0
	for _, end := range append(cuts, len(text)) {
		ids = append(ids, encode(tok, text[start:end], own[start:end])...)
		start = end
	}
	return ids
}

// forged are places inside the special tokens of ids that are not all the template's own, in order.
func forged(tok *tokenizer.Tokenizer, ids []int32, text string, own []bool) []int {
	var cuts []int
	at := 0
	for _, id := range ids {
		if !tok.IsSpecial(id) {
			continue
		}
		content, _ := tok.Token(id)
		i := strings.Index(text[at:], content)
		if i < 0 {
			continue // an id that stands for bytes which are no token's content, such as those of unknown text
		}
		i += at
		at = i + len(content)
		if slices.Contains(own[i:at], false) {
			_, n := utf8.DecodeRuneInString(content)
			cuts = append(cuts, i+n)
		}
	}
	return cuts
}
