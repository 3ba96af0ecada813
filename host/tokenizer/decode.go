package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Decode returns the text of ids as the tokenizers library does: by the file's decoder, with U+FFFD for bytes that are not UTF-8. With
// skipSpecial, special tokens are left out. Ids without a token stand for nothing. It is the text that begins with these tokens: many
// files' decoders take the space off its first word. NewDecoderAfter gives the text of ids that follow others.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	d := t.NewDecoder(skipSpecial)
	for _, id := range ids {
		d.push(id)
	}
	return d.Flush()
}

// Decoder is Decode for a stream: what its Push calls and its last Flush return, joined, is what Decode returns for all ids. It belongs to
// one goroutine.
type Decoder struct {
	tokenizer   *Tokenizer
	skipSpecial bool
	links       []link
	out         strings.Builder
}

// NewDecoder returns a Decoder at the start of a text.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	d := &Decoder{tokenizer: t, skipSpecial: skipSpecial, links: make([]link, len(t.decoders))}
	next := func(piece string) { d.out.WriteString(piece) }
	for i := len(t.decoders) - 1; i >= 0; i-- {
		d.links[i] = t.decoders[i].link(next)
		next = d.links[i].token
	}
	return d
}

// NewDecoderAfter returns a Decoder for what follows a prompt: a word that continues a text keeps the space that Decode takes off the first
// one, and a code point whose first bytes end the prompt is completed. What Decode gives for the prompt and what the Decoder gives, special
// tokens and all, joined, is what Decode gives for all ids, unless the prompt ends in bytes that are not UTF-8. skipSpecial is about the ids
// that follow.
func (t *Tokenizer) NewDecoderAfter(prompt []int32, skipSpecial bool) *Decoder {
	d := t.NewDecoder(false)
	for _, id := range prompt {
		d.push(id)
		d.out.Reset()
	}
	for _, l := range d.links {
		l.settle()
	}
	d.out.Reset()
	d.skipSpecial = skipSpecial
	return d
}

func (d *Decoder) push(id int32) {
	if _, ok := d.tokenizer.Token(id); ok && !(d.skipSpecial && d.tokenizer.IsSpecial(id)) {
		d.links[0].token(d.tokenizer.tokens[id].written)
	}
}

// Push returns the text that became complete with this id. What may change with the next is held back: the beginning of a code point, and
// where the file writes bytes as tokens such as <0x0A>, a row of those until another token ends it, because one that is not UTF-8 makes
// U+FFFD of each of them.
func (d *Decoder) Push(id int32) string {
	d.push(id)
	return d.take()
}

// Flush ends the text: nothing is held back any more.
func (d *Decoder) Flush() string {
	for _, l := range d.links {
		l.end()
	}
	return d.take()
}

func (d *Decoder) take() string {
	text := d.out.String()
	d.out.Reset()
	return text
}

// repair appends src to dst as valid UTF-8. Each maximal part of src that is not UTF-8 (Unicode 15, section 3.9, "U+FFFD substitution of
// maximal subparts") becomes one U+FFFD. Unless final, the beginning of a code point at the end of src is returned as rest instead.
func repair(dst, src []byte, final bool) (out, rest []byte) {
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		if r != utf8.RuneError || size > 1 {
			dst = append(dst, src[:size]...)
			src = src[size:]
			continue
		}
		if !utf8.FullRune(src) {
			if !final {
				return dst, src
			}
			size = len(src)
		} else {
			for size < 3 && size+1 <= len(src) && !utf8.FullRune(src[:size+1]) {
				size++
			}
		}
		dst = utf8.AppendRune(dst, utf8.RuneError)
		src = src[size:]
	}
	return dst, nil
}
