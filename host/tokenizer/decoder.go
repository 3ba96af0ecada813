package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// decoder is one step from tokens to text, as the file describes it. Before the tokens are fused a step takes and gives tokens, after that
// pieces of one.
type decoder interface {
	// link makes the step's state for one text. What it has goes to out.
	link(out func(string)) link
	// alone is what the step makes of a token inside a text. It may give bytes that are not whole UTF-8.
	alone(token string) string
}

// link is the state of a step in one text.
type link interface {
	token(piece string)
	// settle gives out what is complete, as far as it can be known, and keeps the beginning of a code point.
	settle()
	end()
}

// replaceDecoder replaces a text in each token.
type replaceDecoder struct{ old, by string }

func (d replaceDecoder) alone(token string) string { return strings.ReplaceAll(token, d.old, d.by) }

func (d replaceDecoder) link(out func(string)) link {
	return stateless(func(piece string) { out(d.alone(piece)) })
}

// stateless is a step that holds nothing back.
type stateless func(piece string)

func (s stateless) token(piece string) { s(piece) }
func (s stateless) settle()            {}
func (s stateless) end()               {}

// fuseDecoder makes one token of all. It is seen to when the file is read: links after it get pieces.
type fuseDecoder struct{}

func (fuseDecoder) alone(token string) string  { return token }
func (fuseDecoder) link(out func(string)) link { return stateless(out) }

// stripDecoder takes up to count characters off the beginning: of each token, or of the text once that is fused.
type stripDecoder struct {
	content string
	count   int
	fused   bool
}

func (d stripDecoder) alone(token string) string {
	if d.fused {
		return token
	}
	token, _ = d.strip(token, d.count)
	return token
}

func (d stripDecoder) strip(piece string, count int) (string, int) {
	for count > 0 {
		rest, ok := strings.CutPrefix(piece, d.content)
		if !ok {
			break
		}
		piece = rest
		count--
	}
	return piece, count
}

func (d stripDecoder) link(out func(string)) link {
	left := d.count
	return stateless(func(piece string) {
		if !d.fused {
			left = d.count
		}
		if piece, left = d.strip(piece, left); piece != "" {
			left = 0
		}
		out(piece)
	})
}

// metaspaceDecoder writes a character as a space, and leaves it out in the first token if the pre-tokenizer puts one in front.
type metaspaceDecoder struct {
	replacement string
	drop        bool
	fused       bool
}

func (d metaspaceDecoder) alone(token string) string {
	if d.fused && d.drop {
		return strings.ReplaceAll(token, d.replacement, "")
	}
	return strings.ReplaceAll(token, d.replacement, " ")
}

func (d metaspaceDecoder) link(out func(string)) link {
	first := true
	return stateless(func(piece string) {
		if first && d.drop {
			out(strings.ReplaceAll(piece, d.replacement, ""))
		} else {
			out(d.alone(piece))
		}
		first = false
	})
}

// byteFallbackDecoder joins tokens such as <0x0A> to the text their bytes are.
type byteFallbackDecoder struct{}

// fallbackByte returns the byte that a token is written for. A plus sign before one digit is what the library takes too.
func fallbackByte(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	high, okHigh := hexDigit(token[3])
	low, okLow := hexDigit(token[4])
	return high<<4 | low, (okHigh || token[3] == '+') && okLow
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

func (byteFallbackDecoder) alone(token string) string {
	if b, ok := fallbackByte(token); ok {
		return string([]byte{b})
	}
	return token
}

func (byteFallbackDecoder) link(out func(string)) link { return &byteFallbackLink{out: out} }

// byteFallbackLink holds a row of bytes back until it ends: if any of it is not UTF-8, each of its bytes is U+FFFD.
type byteFallbackLink struct {
	out  func(string)
	held []byte
}

func (l *byteFallbackLink) token(piece string) {
	if b, ok := fallbackByte(piece); ok {
		l.held = append(l.held, b)
		return
	}
	l.end()
	l.out(piece)
}

func (l *byteFallbackLink) settle() {
	n := len(l.held)
	for back := 1; back < utf8.UTFMax && back <= len(l.held); back++ {
		if tail := l.held[len(l.held)-back:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				n -= back
			}
			break
		}
	}
	tail := string(l.held[n:])
	l.held = l.held[:n]
	l.end()
	l.held = append(l.held, tail...)
}

func (l *byteFallbackLink) end() {
	switch {
	case len(l.held) == 0:
	case utf8.Valid(l.held):
		l.out(string(l.held))
	default:
		for range l.held {
			l.out("\uFFFD")
		}
	}
	l.held = l.held[:0]
}

// byteLevelDecoder reads tokens as bytes: each byte is written as a character of the alphabet, and a token with any other is itself.
type byteLevelDecoder struct{}

func (byteLevelDecoder) alone(token string) string {
	if bytes, ok := fromAlphabet(token); ok {
		return bytes
	}
	return token
}

func (byteLevelDecoder) link(out func(string)) link { return &byteLevelLink{out: out} }

// byteLevelLink holds back what may begin a code point.
type byteLevelLink struct {
	out  func(string)
	held []byte // at most 3 bytes
}

func (l *byteLevelLink) token(piece string) {
	whole, rest := repair(nil, append(l.held, byteLevelDecoder{}.alone(piece)...), false)
	l.held = append(l.held[:0], rest...)
	l.out(string(whole))
}

func (l *byteLevelLink) settle() {}

func (l *byteLevelLink) end() {
	whole, _ := repair(nil, l.held, true)
	l.held = l.held[:0]
	if len(whole) > 0 {
		l.out(string(whole))
	}
}
