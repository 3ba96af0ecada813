package tokenizer

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/unicode/rangetable"
)

// patternAnswer is a regular expression and how the library splits texts at its matches.
type patternAnswer struct {
	pattern string
	texts   []splitAnswer
}

type splitAnswer struct {
	text   string
	pieces []string
}

func (a *patternAnswer) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return unmarshalArray(dec, &a.pattern, &a.texts)
}

func (a *splitAnswer) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return unmarshalArray(dec, &a.text, &a.pieces)
}

func unmarshalArray(dec *jsontext.Decoder, parts ...any) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for _, part := range parts {
		if err := json.UnmarshalDecode(dec, part); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// TestPatterns holds the matcher against the library's on random regular expressions. Those that match the empty text are refused here.
func TestPatterns(t *testing.T) {
	file := filepath.Join("testdata", "patterns.json")
	if more := filepath.Join(os.Getenv(answersVariable), "patterns.json"); os.Getenv(answersVariable) != "" {
		file = more
	}
	var answers []patternAnswer
	readJSON(t, file, &answers)
	compared := 0
	for _, a := range answers {
		p, err := compilePattern(a.pattern)
		if err != nil {
			if !strings.Contains(err.Error(), "the empty text") && !strings.Contains(err.Error(), "followed by") &&
				!strings.Contains(err.Error(), "choices") {
				t.Errorf("%s: %v", a.pattern, err)
			}
			continue
		}
		for _, c := range a.texts {
			var got []string
			var find search
			find.begin(p, c.text)
			for _, s := range spansOf(nil, len(c.text), false, find.next) {
				got = append(got, c.text[s.start:s.end])
			}
			if !slices.Equal(got, c.pieces) {
				t.Errorf("%s splits %q into %q, want %q", a.pattern, c.text, got, c.pieces)
			}
			compared++
		}
	}
	if compared < len(answers) {
		t.Errorf("only %d texts were compared", compared)
	}
	t.Logf("%d regular expressions, %d texts", len(answers), compared)
}

func TestPatternRefusals(t *testing.T) {
	for _, c := range []struct{ pattern, cause string }{
		{"", "empty text"}, {"a|", "empty text"}, {"a*b?", "empty text"}, {"(?:a*)+b", "repeated group"}, {"(?!a)", "empty text"},
		{"a)", "without its beginning"}, {"(a", "without its end"}, {"[a", "without its end"}, {`a\`, "backslash"}, {"[]", "empty class"},
		{"[a&&b]", "class"}, {"[[:alpha:]]", "class"}, {"[z-a]", "range"}, {`[\p{L}-z]`, "class"}, {"a.", `"."`}, {"^a", `"^"`}, {"a$", `"$"`},
		{`\bx`, "escape"}, {`\w+`, "escape"}, {`\h`, "escape"}, {`\1`, "escape"}, {`\x41`, "escape"}, {`\p{Greek}`, "property"},
		{`\p{^L}`, "property"}, {"(?<=a)b", "group"}, {"(?>a)", "group"}, {"(?m:a)", "group"}, {"a+?", "followed by"}, {"a{1,2}+", "followed by"},
		{"a{2}{3}", "followed by"}, {"a{,3}", "repetition"}, {"a{65}", "repetition"}, {"a{3,2}", "repetition"}, {"a{0}", "repetition"},
		{"(?i:é)", "inside"}, {`(?i:\p{L})`, "inside"}, {"(?i:[^a])", "inside"}, {"(?i:[a-z])", "range"}, {"(?i:st)", "ligature"},
		{"(?i:FI)", "ligature"}, {"(?i:(?:a)b)", "inside"}, {"(?!ab)c", "look-ahead"}, {"(?!a)+c", "look-ahead"}, {"(?!a+)c", "look-ahead"},
		{strings.Repeat("(", 17) + "a" + strings.Repeat(")", 17), "nested"}, {strings.Repeat("a", 4097), "longer than"},
		{strings.Repeat("(?:a{64}){64}|", 10) + "b", "instructions"}, {strings.Repeat("a", 600), "instructions"},
	} {
		t.Run(c.pattern[:min(len(c.pattern), 20)], func(t *testing.T) {
			if _, err := compilePattern(c.pattern); err == nil || !strings.Contains(err.Error(), c.cause) {
				t.Errorf("%q: %v, want %q", c.pattern, err, c.cause)
			}
		})
	}
}

// TestBoundedSteps would take an hour if a repetition that fails were tried again from each place.
func TestBoundedSteps(t *testing.T) {
	text := strings.Repeat("a", 1<<17)
	for _, pattern := range []string{"a*b|a", "a*a*a*b|a", "(?:a+a+)+b|a", "(?:a|aa)+b", `a+(?!\S)b|aa`,
		"a++b", "a++b|a", "a{3,}b|(?:a++b)+c|a", "[ab]*+[ac]++b", `a?+a++(?!\S)b`} {
		p, err := compilePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		var find search
		find.begin(p, text)
		at, matches := 0, 0
		for {
			_, end, ok := find.next(at)
			if !ok {
				break
			}
			at, matches = end, matches+1
		}
		if want := map[string]int{"a*b|a": len(text), "a*a*a*b|a": len(text), "(?:a+a+)+b|a": len(text), `a+(?!\S)b|aa`: len(text) / 2,
			"a++b|a": len(text), "a{3,}b|(?:a++b)+c|a": len(text)}[pattern]; matches != want {
			t.Errorf("%s: %d matches, want %d", pattern, matches, want)
		}
	}
}

// TestMarkedSpans compares matches with those of the same program when its spans are not marked.
func TestMarkedSpans(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, pattern := range []string{"a++b", "(?:a++b)+c|a", "[ab]*+[bc]++a|b", "(?:a++|b)+c|a", "(?:[ab]++c?){2}a", "a*[ab]++c|é++a|[éa]", "(?:a[bé]*+)+c|é"} {
		marked, bare := mustCompile(pattern), mustCompile(pattern)
		spans := 0
		for i := range bare.code {
			if c := &bare.code[i]; c.op == opSpan && c.bit != 0 {
				c.bit = 0
				spans++
			}
		}
		if spans == 0 {
			t.Errorf("%s has no span that is marked", pattern)
		}
		for range 500 {
			var text strings.Builder
			for range random.IntN(24) {
				text.WriteString([]string{"a", "aa", "b", "c", "é"}[random.IntN(5)])
			}
			var one, other search
			one.begin(marked, text.String())
			other.begin(bare, text.String())
			got, want := spansOf(nil, text.Len(), false, one.next), spansOf(nil, text.Len(), false, other.next)
			if !slices.Equal(got, want) {
				t.Fatalf("%s splits %q into %v, want %v", pattern, text.String(), got, want)
			}
		}
	}
}

// TestClasses guards against a new version of Unicode in Go's tables: the sizes are those of the library's.
func TestClasses(t *testing.T) {
	for name, want := range map[string]int{
		"L": 141028, "Lu": 1858, "Ll": 2258, "Lt": 31, "Lm": 404, "Lo": 136477, "M": 2501, "N": 1911, "Nd": 760, "Nl": 236, "No": 915,
		"P": 855, "S": 8514, "Z": 19, "Han": 99030, "Hiragana": 381, "Katakana": 321,
	} {
		if got := size(setOf(properties[name]...)); got != want {
			t.Errorf("\\p{%s} has %d code points, want %d", name, got, want)
		}
	}
	if got := size(spaceSet); got != 25 {
		t.Errorf("white space has %d code points, want 25", got)
	}
	if got := size(numericSet); got != 1924 {
		t.Errorf("digits are %d code points, want 1924", got)
	}
}

func size(s *runeSet) (n int) {
	var seen [0x110000]bool
	for _, m := range s.members {
		for _, table := range m.tables {
			rangetable.Visit(table, func(r rune) {
				if !seen[r] && s.has(r) {
					seen[r] = true
					n++
				}
			})
		}
	}
	return n
}
