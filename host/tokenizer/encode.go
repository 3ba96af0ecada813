package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Encode returns the ids of a text. With addSpecial it adds what the file's template adds, most often one BOS in front. Added tokens are
// recognised inside the text, special ones too, as the tokenizers library does. Bytes that are not UTF-8 are read as U+FFFD, one for each
// maximal ill-formed part.
func (t *Tokenizer) Encode(text string, addSpecial bool) []int32 {
	if !utf8.ValidString(text) {
		repaired, _ := repair(nil, []byte(text), true)
		text = string(repaired)
	}
	ids := make([]int32, 0, len(text)/3+len(t.before)+len(t.after)+1)
	if addSpecial {
		ids = append(ids, t.before...)
	}
	var m merger
	for rest, found := text, true; found; {
		var part string
		var id int32
		part, id, rest, found = t.literal.cut(rest)
		ids = t.encodePart(&m, part, ids)
		if found {
			ids = append(ids, id)
		}
	}
	if addSpecial {
		ids = append(ids, t.after...)
	}
	return ids
}

// encodePart encodes text that holds none of the literal added tokens.
func (t *Tokenizer) encodePart(m *merger, text string, ids []int32) []int32 {
	for rest, found := text, true; found; {
		var part string
		var id int32
		part, id, rest, found = t.normalized.cut(rest)
		ids = t.encodeWords(m, part, ids)
		if found {
			ids = append(ids, id)
		}
	}
	return ids
}

// encodeWords encodes text that holds no added token.
func (t *Tokenizer) encodeWords(m *merger, text string, ids []int32) []int32 {
	if text == "" {
		return ids
	}
	if t.prefixSpace && !strings.HasPrefix(text, " ") {
		text = " " + text
	}
	for text != "" {
		n := len(text)
		if t.splitWords {
			n = wordLength(text)
		}
		ids = m.word(t, text[:n], ids)
		text = text[n:]
	}
	return ids
}
