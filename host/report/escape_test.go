package report

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"model.layers.0.q_proj", "model.layers.0.q_proj"},
		{"Zürich 東京 φ(1,1)", "Zürich 東京 φ(1,1)"},
		{`C:\models`, `C:\models`},
		{"a\nb\tc\rd", `a\nb\tc\rd`},
		{"\x1b[31mred", `\x1b[31mred`},
		{"\x00\x7f", `\x00\x7f`},
		{"\u009b2J", `\u009b2J`},
		{"safe\u202egnp.exe", `safe\u202egnp.exe`},
		{"zero\u200bwidth\ufeff", `zero\u200bwidth\ufeff`},
		{"line\u2028break", `line\u2028break`},
		{"no\u00a0break", `no\u00a0break`},
		{"e\u0301", `e\u0301`},
		{"blank\u3164letter", `blank\u3164letter`},
		{"tag\U000e0041", `tag\U000e0041`},
		{"bad\xffutf8", `bad\xffutf8`},
		{"\ufffd", "\ufffd"},
	} {
		if got := Escape(c.in); got != c.want {
			t.Errorf("Escape(%q) = %s, want %s", c.in, got, c.want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("\x1b]0;title\a\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := Escape(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Escape(%q) is not UTF-8", s)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Fatalf("Escape(%q) = %q is not printable at %d", s, got, i)
		}
		if Escape(got) != got {
			t.Fatalf("Escape(%q) is not stable", s)
		}
	})
}
