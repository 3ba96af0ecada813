package tokenizer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// shared is the test data beside the repository.
const shared = "../../../shared/models/tiny-llama"

func readJSON(t *testing.T, name string, out any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) && (strings.HasPrefix(name, shared) || strings.HasPrefix(name, stories)) {
		t.Skipf("%s is not there", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, out); err != nil {
		t.Fatal(err)
	}
}

func fixture(t testing.TB, name string) (*Tokenizer, []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(path, data)
	if err != nil {
		t.Fatal(err)
	}
	return tok, data
}

// TestEncodings holds Encode and Decode against what the tokenizers library (0.23.3) gave for the fixtures.
func TestEncodings(t *testing.T) {
	var cases []struct {
		Tokenizer, Text  string
		IDs              []int32 `json:"ids"`
		Without          []int32 `json:"without"`
		Decoded, Skipped string
		OnlyDecode       bool `json:"only_decode"`
	}
	data, err := os.ReadFile("testdata/encodings.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	open := map[string]*Tokenizer{}
	for _, c := range cases {
		tok := open[c.Tokenizer]
		if tok == nil {
			tok, _ = fixture(t, c.Tokenizer)
			open[c.Tokenizer] = tok
		}
		if !c.OnlyDecode {
			if got := tok.Encode(c.Text, true); !slices.Equal(got, c.IDs) {
				t.Errorf("%s: %q encodes to %v, want %v", c.Tokenizer, c.Text, got, c.IDs)
			}
			if got := tok.Encode(c.Text, false); !slices.Equal(got, c.Without) {
				t.Errorf("%s: %q encodes without special tokens to %v, want %v", c.Tokenizer, c.Text, got, c.Without)
			}
		}
		for _, skip := range []bool{false, true} {
			want := c.Decoded
			if skip {
				want = c.Skipped
			}
			if got := tok.Decode(c.IDs, skip); got != want {
				t.Errorf("%s: %v decodes (skip %v) to %q, want %q", c.Tokenizer, c.IDs, skip, got, want)
			}
			if got := stream(tok, c.IDs, skip); got != want {
				t.Errorf("%s: %v streams (skip %v) to %q, want %q", c.Tokenizer, c.IDs, skip, got, want)
			}
		}
	}
}

func stream(tok *Tokenizer, ids []int32, skip bool) string {
	d := tok.NewDecoder(skip)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(d.Push(id))
	}
	return b.String() + d.Flush()
}

func TestWords(t *testing.T) {
	var cases []struct {
		Text   string   `json:"text"`
		Pieces []string `json:"pieces"`
	}
	readJSON(t, "testdata/words.json", &cases)
	for _, c := range cases {
		var got []string
		var find search
		find.begin(gpt2Program, c.Text)
		for _, s := range spansOf(nil, len(c.Text), false, find.next) {
			got = append(got, c.Text[s.start:s.end])
		}
		if !slices.Equal(got, c.Pieces) {
			t.Errorf("%q splits into %q, want %q", c.Text, got, c.Pieces)
		}
	}
}

func TestTinyLlama(t *testing.T) {
	var texts []struct {
		Text string  `json:"text"`
		IDs  []int32 `json:"ids"`
	}
	readJSON(t, filepath.Join(shared, "golden_tokens.json"), &texts)
	tok, err := Open(filepath.Join(shared, "base"))
	if err != nil {
		t.Fatal(err)
	}
	if tok.Size() != 2048 {
		t.Errorf("%d tokens, want 2048", tok.Size())
	}
	for _, c := range texts {
		if got := tok.Encode(c.Text, false); !slices.Equal(got, c.IDs) {
			t.Errorf("%q encodes to %v, want %v", c.Text, got, c.IDs)
		}
		if got := tok.Decode(c.IDs, true); got != c.Text {
			t.Errorf("%v decodes to %q, want %q", c.IDs, got, c.Text)
		}
	}
	type runs struct {
		Greedy []struct {
			PromptIDs []int32 `json:"prompt_ids"`
			IDs       []int32 `json:"ids"`
			Text      string  `json:"text"`
		} `json:"greedy"`
	}
	var golden struct {
		Prompts  []string        `json:"prompts"`
		Base     runs            `json:"base"`
		Adapters map[string]runs `json:"adapters"`
	}
	readJSON(t, filepath.Join(shared, "golden.json"), &golden)
	golden.Adapters["base"] = golden.Base
	for name, run := range golden.Adapters {
		for i, g := range run.Greedy {
			if got := tok.Encode(golden.Prompts[i], true); !slices.Equal(got, g.PromptIDs) {
				t.Errorf("%s: prompt %d encodes to %v, want %v", name, i, got, g.PromptIDs)
			}
			if got := tok.Decode(g.IDs, true); got != g.Text {
				t.Errorf("%s: prompt %d: %v decodes to %q, want %q", name, i, g.IDs, got, g.Text)
			}
		}
	}
	t.Logf("%d texts, %d greedy runs", len(texts), 2*len(golden.Adapters))
}

func TestLookups(t *testing.T) {
	tok, _ := fixture(t, "plain")
	if id, ok := tok.Special("</s>"); id != 2 || !ok {
		t.Errorf(`Special("</s>") is %d, %v`, id, ok)
	}
	if _, ok := tok.Special("hello"); ok {
		t.Error("hello is special")
	}
	if s, ok := tok.Token(262); s != " the" || !ok {
		t.Errorf("token 262 is %q, %v", s, ok)
	}
	for _, id := range []int32{-1, int32(tok.Size())} {
		if s, ok := tok.Token(id); ok {
			t.Errorf("token %d is %q", id, s)
		}
	}
	if before, after := tok.Template(); before != 1 || after != 0 || !tok.IsSpecial(1) || tok.IsSpecial(262) || tok.IsSpecial(-1) {
		t.Error("template or special tokens are wrong")
	}
}

func TestInvalidUTF8(t *testing.T) {
	tok, _ := fixture(t, "noregex")
	for _, c := range []struct{ name, in, want string }{
		{"lone continuation", "a\x80b", "a\uFFFDb"},
		{"truncated at the end", "a\xF0\x9F\x98", "a\uFFFD"},
		{"truncated inside", "\xE0\xA0x\xF0\x90\x80y", "\uFFFDx\uFFFDy"},
		{"overlong", "\xC0\xAF\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
		{"surrogate", "\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
		{"above U+10FFFF", "\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := tok.Decode(tok.Encode(c.in, false), false); got != c.want {
				t.Errorf("%q is read as %q, want %q", c.in, got, c.want)
			}
			// The same bytes as tokens of one byte each.
			var ids []int32
			for i := range len(c.in) {
				ids = append(ids, tok.model.first[c.in[i]])
			}
			if got := stream(tok, ids, false); got != c.want {
				t.Errorf("%q streams as %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestDecoderHoldsBack(t *testing.T) {
	tok, _ := fixture(t, "plain")
	d := tok.NewDecoder(false)
	text := "a😀é"
	var got []string
	for i := range len(text) {
		got = append(got, d.Push(tok.model.first[text[i]]))
	}
	if want := []string{"a", "", "", "", "😀", "", "é"}; !slices.Equal(got, want) {
		t.Errorf("pushes give %q, want %q", got, want)
	}
}

// TestLongWord would take minutes if merging were quadratic.
func TestLongWord(t *testing.T) {
	tok, _ := fixture(t, "plain")
	for _, text := range []string{strings.Repeat("o", 1<<20), strings.Repeat("abcab", 1<<17), strings.Repeat("<", 1<<20)} {
		if got := tok.Decode(tok.Encode(text, false), false); got != text {
			t.Errorf("a word of %d bytes does not come back", len(text))
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	var toks []*Tokenizer
	for _, name := range []string{"plain", "noregex", "ignore", "shapes/llama3", "shapes/o200k", "shapes/smollm"} {
		tok, _ := fixture(f, name)
		toks = append(toks, tok)
	}
	f.Add("Hello  world's \n\n x12345é😀")
	f.Add("<s>the</s>")
	f.Add("\xff\xf0\x9f")
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range toks {
			ids := tok.Encode(text, false)
			got := tok.Decode(ids, false)
			if utf8.ValidString(text) && got != text {
				t.Fatalf("%q comes back as %q", text, got)
			}
			if !utf8.ValidString(got) || stream(tok, ids, false) != got {
				t.Fatalf("%q decodes to %q, streamed %q", text, got, stream(tok, ids, false))
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	tok, _ := fixture(b, "plain")
	text := strings.Repeat("the hello world abcabc 12345 don't ", 1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Encode(text, true)
	}
}
