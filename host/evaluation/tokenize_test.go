package evaluation

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTokenize13a(t *testing.T) {
	tests := []struct {
		name, segment string
		want          []string
	}{
		{"empty", "", []string{""}},
		{"nothing but spaces", " \u3000\x1c ", []string{""}},
		{"case is kept", "Warm Bread", []string{"Warm", "Bread"}},
		{"apostrophe and hyphen stay", "the baker's half-open door", []string{"the", "baker's", "half-open", "door"}},
		{"hyphen after a digit", "5-star", []string{"5", "-", "star"}},
		{"points inside numbers stay", "1,250.75 grams.", []string{"1,250.75", "grams", "."}},
		{"point before a number", "about .5", []string{"about", ".", "5"}},
		{"of two points the second stays with its number", "so.,5", []string{"so", ".", ",5"}},
		{"signs", "(a/b) £3 & $4", []string{"(", "a", "/", "b", ")", "£3", "&", "$", "4"}},
		{"entities", "&quot;a&quot; &amp;lt; b", []string{`"`, "a", `"`, "<", "b"}},
		{"skipped and joined lines", "one <skipped>two-\nfold\nend", []string{"one", "twofold", "end"}},
		{"Unicode spaces", "a\u00a0b\u2003c\x1fd", []string{"a", "b", "c", "d"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Tokenize13a(test.segment); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestLower(t *testing.T) {
	for s, want := range map[string]string{
		"CAFÉ": "café", "İ": "i\u0307", "ΟΔΟΣ": "οδος", "ΣΑΣ.": "σας.", "Σ": "σ", "ΑΣ'Α": "ασ'α", "ẞ": "ß",
	} {
		if got := lower(s); got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
	}
	if got := lowerASCII("CAFÉ"); got != "cafÉ" {
		t.Errorf("%q", got)
	}
}

func TestTokenizePTB(t *testing.T) {
	tests := []struct{ name, segment, want string }{
		{"empty", "", ""},
		{"punctuation is dropped", `Bread; "honey": tea - or... milk?!`, "bread honey tea or milk"},
		{"pounds are number signs", "under £20", "under # 20"},
		{"ranges and compounds stay whole", "a 20-25 minute, 5-star, family-run place", "a 20-25 minute 5-star family-run place"},
		{"a minus sign stays", "it is -25 outside", "it is -25 outside"},
		{"a minus sign after a word is a dash", "cold;-25", "cold 25"},
		{"contractions", "They're sure it isn't Ann's; we'd go, I'm told.", "they 're sure it is n't ann 's we 'd go i 'm told"},
		{"contractions that stand alone", "it is n't Ann 's", "it is n't ann 's"},
		{"cannot", "You CANNOT", "you can not"},
		{"brackets stay", "(by tram)", "-lrb- by tram -rrb-"},
		{"a word before a point and a comma keeps the point", "the centre., then", "the centre. then"},
		{"a number that turns into a word", "20-25th", "20 25th"},
		{"times", "at 5:30pm or 5:30", "at 5 30pm or 5:30"},
		{"and, or, per", "a&b c/d & / $", "a&b c/d & / $"},
		{"accents", "Café's", "café 's"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(TokenizePTB(test.segment), " "); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// FuzzTokenize13a: no token contains a space, and tokenizing the tokens again changes nothing unless points are adjacent, where the
// replacements do not overlap, or a line ends in a hyphen.
func FuzzTokenize13a(f *testing.F) {
	for _, seed := range []string{"", "a.b,5-6", "&amp;quot;<skipped>", "1..2", "a\u2028\x85b", "\xff.\xfe"} {
		f.Add(seed)
	}
	adjacent := regexp.MustCompile(`[.,]{2}`)
	f.Fuzz(func(t *testing.T, segment string) {
		words := Tokenize13a(segment)
		if len(words) == 0 {
			t.Fatal("no tokens")
		}
		for _, w := range words {
			if strings.ContainsFunc(w, space) || w == "" && len(words) > 1 {
				t.Fatalf("token %q", w)
			}
		}
		if again := Tokenize13a(strings.Join(words, " ")); !adjacent.MatchString(segment) && !slices.Equal(again, words) {
			t.Errorf("%q, and again %q", words, again)
		}
	})
}

// FuzzTokenizePTB: no token contains a space, and tokenizing the tokens again changes nothing where no token was rewritten and none
// ends in a sign, as the a& that n't is split from.
func FuzzTokenizePTB(f *testing.F) {
	for _, seed := range []string{"", "isn't 20-25th £-5", "x., (\"y\")", "'s-5 é's n't's", "\xff", "cannot's"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, segment string) {
		words := TokenizePTB(segment)
		for _, w := range words {
			if w == "" || strings.ContainsFunc(w, space) || slices.Contains(dropped, w) {
				t.Fatalf("token %q", w)
			}
		}
		signed := func(w string) bool { return len(w) > 1 && !wordRune([]rune(w)[len([]rune(w))-1]) }
		verified := !strings.ContainsFunc(segment, func(r rune) bool { return !Verified(r) })
		if !verified || strings.ContainsAny(segment, `£()"`) || strings.Contains(segment, ".,") || slices.ContainsFunc(words, signed) {
			return
		}
		if again := TokenizePTB(strings.Join(words, " ")); !slices.Equal(again, words) {
			t.Errorf("%q, and again %q", words, again)
		}
	})
}
