package tokenizer

import "unicode/utf8"

// Decode returns the text of ids: the bytes of all tokens, one after the other, with U+FFFD for each maximal part that is not UTF-8. With
// skipSpecial, special tokens are left out. Ids without a token stand for nothing. An added token is its own content, also where the
// tokenizers library reads a non-ASCII one as bytes.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	var raw []byte
	for _, id := range ids {
		if skipSpecial && t.IsSpecial(id) {
			continue
		}
		content, _ := t.Token(id)
		raw = append(raw, content...)
	}
	out, _ := repair(make([]byte, 0, len(raw)), raw, true)
	return string(out)
}

// Decoder is Decode for a stream: what its Push calls and its last Flush return, joined, is what Decode returns for all ids. It belongs to
// one goroutine.
type Decoder struct {
	tokenizer   *Tokenizer
	skipSpecial bool
	held        []byte // the beginning of a code point, at most 3 bytes
}

// NewDecoder returns a Decoder at the start of a text.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	return &Decoder{tokenizer: t, skipSpecial: skipSpecial}
}

// Push returns the text that became complete with this id. Bytes that may begin a code point are held back.
func (d *Decoder) Push(id int32) string {
	if d.skipSpecial && d.tokenizer.IsSpecial(id) {
		return ""
	}
	content, _ := d.tokenizer.Token(id)
	out, rest := repair(nil, append(d.held, content...), false)
	d.held = append(d.held[:0], rest...)
	return string(out)
}

// Flush ends the text: an incomplete code point becomes U+FFFD.
func (d *Decoder) Flush() string {
	out, _ := repair(nil, d.held, true)
	d.held = d.held[:0]
	return string(out)
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
