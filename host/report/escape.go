package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape makes foreign text safe to put on a line of a terminal or a log: whatever a person could not see, or what would move the cursor,
// change the colour, start a new line or turn the reading direction, is written as an escape instead. Control characters become \n, \t or
// \x1b; bytes that are not UTF-8 become \xff; bidirectional overrides, zero-width and other invisible characters become \u202e. Text
// that a person can see is left alone, a backslash too, so Escape is for people to read and not to be undone.
func Escape(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case visible(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// plain reports whether s is printable ASCII only, as nearly all names are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// visible reports whether r leaves a mark of its own. unicode.IsPrint already leaves out control characters, format characters (the
// bidirectional overrides and zero-width joiners are among them), private use, surrogates and every space but the ASCII one. Combining
// marks print on the character before them and can pile up without bound, and some letters, the Hangul fillers, are blank.
func visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(unicode.M, r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}
