package tokenizer

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// Segment is a part of a text that is encoded as one.
type Segment struct {
	Text string
	// Plain says that the text is somebody's words and no markup: special tokens that are written out in it, such as "<|im_end|>", are
	// encoded as the characters they are.
	Plain bool
}

// Encode returns the ids of a text, as the tokenizers library does: special tokens that are written out in it become their ids. With
// addSpecial it adds what the file's template adds, most often one BOS in front. Bytes that are not UTF-8 are read as U+FFFD, one for each
// maximal ill-formed part.
//
// Whoever writes the text can so write special tokens. EncodePlain and EncodeSegments encode words that must not be able to.
func (t *Tokenizer) Encode(text string, addSpecial bool) []int32 {
	return t.EncodeSegments([]Segment{{Text: text}}, addSpecial)
}

// EncodePlain is Encode for a text in which special tokens mean nothing: as the library does with encode_special_tokens. Added tokens that
// are not special are still recognised: they are words of the vocabulary.
func (t *Tokenizer) EncodePlain(text string, addSpecial bool) []int32 {
	return t.EncodeSegments([]Segment{{Text: text, Plain: true}}, addSpecial)
}

// EncodeSegments is Encode for the segments joined: what a chat template wrote around what people wrote. A special token is recognised where
// all of it lies in segments that are not plain; what a plain segment says can neither complete one nor hide one. Where no plain segment
// holds any of the characters of a special token, the ids are those of Encode.
//
// A special token that is matched after normalisation (few files have one) is recognised only where no plain text lies between it and the
// next special tokens that are matched before.
func (t *Tokenizer) EncodeSegments(segments []Segment, addSpecial bool) []int32 {
	text, plain := join(segments)
	e := &encoding{t: t, ids: make([]int32, 0, len(text)/3+len(t.before)+len(t.after)+1)}
	if addSpecial {
		e.ids = append(e.ids, t.before...)
	}
	t.literal.split(text, plain, func(start, end int, id int32) {
		if id >= 0 {
			e.ids = append(e.ids, id)
			return
		}
		part := t.normalize(text[start:end])
		var guard ranges
		if plain.touches(start, end) {
			guard = ranges{{0, len(part)}}
		}
		t.normalized.split(part, guard, func(from, to int, id int32) {
			if id >= 0 {
				e.ids = append(e.ids, id)
			} else {
				e.cut(0, part[from:to], start == 0 && from == 0)
			}
		})
	})
	if addSpecial {
		e.ids = append(e.ids, t.after...)
	}
	return e.ids
}

// ranges are parts of a text: ascending, not empty, not touching each other.
type ranges [][2]int

// touches reports whether any of the bytes from start to end lies in a range.
func (r ranges) touches(start, end int) bool {
	i := sort.Search(len(r), func(i int) bool { return r[i][1] > start })
	return i < len(r) && r[i][0] < end
}

// join returns the text of all segments, as UTF-8, and where it is plain.
func join(segments []Segment) (string, ranges) {
	var text strings.Builder
	var plain ranges
	for _, s := range segments {
		start := text.Len()
		if utf8.ValidString(s.Text) {
			if len(segments) == 1 {
				if s.Plain && s.Text != "" {
					plain = ranges{{0, len(s.Text)}}
				}
				return s.Text, plain
			}
			text.WriteString(s.Text)
		} else {
			repaired, _ := repair(nil, []byte(s.Text), true)
			text.Write(repaired)
		}
		switch end := text.Len(); {
		case !s.Plain || end == start:
		case len(plain) > 0 && plain[len(plain)-1][1] == start:
			plain[len(plain)-1][1] = end
		default:
			plain = append(plain, [2]int{start, end})
		}
	}
	return text.String(), plain
}

// encoding is one call of Encode.
type encoding struct {
	t         *Tokenizer
	ids       []int32
	merger    merger
	scratches []*scratch // by depth
}

// scratch is the memory of one stage.
type scratch struct {
	search search
	spans  []span
}

func (e *encoding) scratch(depth int) *scratch {
	for len(e.scratches) <= depth {
		e.scratches = append(e.scratches, &scratch{})
	}
	return e.scratches[depth]
}

// cut gives a piece of text, which holds no added token, to the pre-tokenizer at depth of the chain, or to the model behind the last. first
// says that the text begins with it.
func (e *encoding) cut(depth int, text string, first bool) {
	switch {
	case text == "":
	case depth == len(e.t.stages):
		e.ids = e.merger.word(&e.t.model, text, e.ids)
	default:
		e.t.stages[depth].cut(e, depth, text, first)
	}
}

// pieces gives the parts that a split makes of text to the next stage.
func (e *encoding) pieces(depth int, text string, first bool, b behavior, invert bool, find finder) {
	if b == isolated {
		for at := 0; at < len(text); {
			start, end, ok := find(at)
			if !ok {
				start, end = len(text), len(text)
			}
			e.cut(depth+1, text[at:start], first && at == 0)
			e.cut(depth+1, text[start:end], first && start == 0)
			at = end
		}
		return
	}
	scratch := e.scratch(depth)
	scratch.spans = b.apply(spansOf(scratch.spans[:0], len(text), invert, find))
	for _, s := range scratch.spans {
		e.cut(depth+1, text[s.start:s.end], first && s.start == 0)
	}
}
