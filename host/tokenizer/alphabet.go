package tokenizer

// The byte alphabet of GPT-2: tokenizer.json is text, so each byte is written as a printable code point. The bytes that are printable in
// Latin-1 stand for themselves, the other 68 become U+0100, U+0101, … in ascending order.
var (
	runeOfByte [256]rune
	byteOfRune map[rune]byte
)

func init() {
	byteOfRune = make(map[rune]byte, 256)
	spare := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = spare
			spare++
		}
		runeOfByte[b] = r
		byteOfRune[r] = byte(b)
	}
}

// fromAlphabet returns the bytes a vocabulary entry is written for, and false when it holds a code point that writes no byte.
func fromAlphabet(entry string) (string, bool) {
	out := make([]byte, 0, len(entry))
	for _, r := range entry {
		b, ok := byteOfRune[r]
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}

// neverInUTF8 reports whether no valid UTF-8 text holds the byte, so that a vocabulary may leave it out.
func neverInUTF8(b int) bool { return b == 0xC0 || b == 0xC1 || b >= 0xF5 }
