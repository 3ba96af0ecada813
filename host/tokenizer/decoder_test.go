package tokenizer

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// stories is a SentencePiece-style model beside the repository.
const stories = "../../../shared/models/stories260K"

// TestStories checks prompts and texts of a real model: the texts are what follows the prompts.
func TestStories(t *testing.T) {
	type run struct {
		Prompt    string  `json:"prompt"`
		PromptIDs []int32 `json:"prompt_ids"`
		IDs       []int32 `json:"gen_ids"`
		Text      string  `json:"text"`
	}
	for _, file := range []string{"golden_base.json", "golden_adapter_scale1.json", "golden_adapter_scale05.json"} {
		runs := map[string]run{}
		readJSON(t, filepath.Join(stories, file), &runs)
		tok, err := Open(filepath.Join(stories, "base"))
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range runs {
			if got := tok.Encode(r.Prompt, true); !slices.Equal(got, r.PromptIDs) {
				t.Errorf("%s: %s: %q encodes to %v, want %v", file, name, r.Prompt, got, r.PromptIDs)
			}
			if got := drain(tok.NewDecoderAfter(r.PromptIDs, true), r.IDs); got != r.Text {
				t.Errorf("%s: %s: the text after the prompt is %q, want %q", file, name, got, r.Text)
			}
			if got := tok.Decode(r.IDs, true); got != strings.TrimPrefix(r.Text, " ") {
				t.Errorf("%s: %s: the text is %q, want %q without its first space", file, name, got, r.Text)
			}
		}
	}
}

func drain(d *Decoder, ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(d.Push(id))
	}
	return b.String() + d.Flush()
}

// TestDecoderAfter cuts the ids of texts anywhere: what follows is the bytes of the later tokens, with those of a code point that was cut.
func TestDecoderAfter(t *testing.T) {
	golden := map[string][]answer{}
	readJSON(t, filepath.Join("testdata", "golden.json"), &golden)
	bytesOf := func(tok *Tokenizer, ids []int32) (text string) {
		for _, id := range ids {
			bytes, _ := tok.Token(id)
			text += bytes
		}
		return text
	}
	cuts := 0
	for name, answers := range golden {
		tok := shape(t, name)
		for _, a := range answers {
			if !utf8.ValidString(bytesOf(tok, a.ids)) {
				continue // an added token of the alphabet's letters
			}
			for cut := 1; cut < len(a.ids); cut++ {
				_, begun := repair(nil, []byte(bytesOf(tok, a.ids[:cut])), false)
				want := string(begun) + bytesOf(tok, a.ids[cut:])
				if got := drain(tok.NewDecoderAfter(a.ids[:cut], false), a.ids[cut:]); got != want {
					t.Errorf("%s: %q cut at %d goes on with %q, want %q", name, a.decoded, cut, got, want)
				}
				cuts++
			}
		}
	}
	if cuts < 1000 {
		t.Errorf("only %d cuts", cuts)
	}
}

func TestDecoderHoldsByteTokens(t *testing.T) {
	tok := shape(t, "llama2")
	id := func(content string) int32 {
		for i := range tok.tokens {
			if tok.tokens[i].written == content {
				return int32(i)
			}
		}
		t.Fatalf("no token %q", content)
		return -1
	}
	for _, c := range []struct {
		name   string
		prompt []string
		tokens []string
		want   []string // of each push, and of the flush
	}{
		{"first space", nil, []string{"▁the", "▁the"}, []string{"the", " the", ""}},
		{"second space stays", nil, []string{"▁▁", "a"}, []string{" ", "a", ""}},
		{"after a prompt", []string{"a"}, []string{"▁the"}, []string{" the", ""}},
		{"after a special token", []string{"<s>"}, []string{"▁the"}, []string{" the", ""}},
		{"newline", nil, []string{"a", "<0x0A>", "▁the"}, []string{"a", "", "\n the", ""}},
		{"newline of the prompt", []string{"a", "<0x0A>"}, []string{"▁the"}, []string{" the", ""}},
		{"code point", nil, []string{"<0xC3>", "<0xA9>", "a"}, []string{"", "", "éa", ""}},
		{"code point at the end", nil, []string{"<0xC3>", "<0xA9>"}, []string{"", "", "é"}},
		{"code point begun in the prompt", []string{"a", "<0x0A>", "<0xC3>"}, []string{"<0xA9>", "a"}, []string{"", "éa", ""}},
		{"one bad byte spoils its row", nil, []string{"<0x0A>", "<0xFF>", "a"}, []string{"", "", "\uFFFD\uFFFDa", ""}},
		{"special tokens are left out", nil, []string{"a", "</s>", "a"}, []string{"a", "", "a", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var prompt []int32
			for _, p := range c.prompt {
				prompt = append(prompt, id(p))
			}
			d := tok.NewDecoder(true)
			if prompt != nil {
				d = tok.NewDecoderAfter(prompt, true)
			}
			var got []string
			for _, token := range c.tokens {
				got = append(got, d.Push(id(token)))
			}
			if got = append(got, d.Flush()); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestTokenTexts checks what a token is shown as by itself.
func TestTokenTexts(t *testing.T) {
	for _, c := range []struct{ shape, written, want string }{
		{"llama2", "▁the", " the"}, {"llama2", "▁", " "}, {"llama2", "<0x0A>", "\n"}, {"llama2", "<0xC3>", "\xC3"}, {"llama2", "<s>", "<s>"},
		{"mistral", "[INST]", "[INST]"}, {"unknown", "▁the", " the"}, {"gpt2", "Ġthe", " the"}, {"gpt2", "Ã", "\xC3"},
		{"deepseek", "<｜begin▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"},
	} {
		t.Run(c.shape+" "+c.written, func(t *testing.T) {
			tok := shape(t, c.shape)
			for id := range tok.tokens {
				if tok.tokens[id].written == c.written {
					if got, ok := tok.Token(int32(id)); got != c.want || !ok {
						t.Errorf("got %q, %v, want %q", got, ok, c.want)
					}
					return
				}
			}
			t.Fatal("no such token")
		})
	}
}

func TestCanonical(t *testing.T) {
	for form, normal := range forms {
		for r := rune(0x80); r < 0x30000; r++ {
			if r >= 0x3500 && r < 0xA000 || r >= 0xAD00 && r < 0xD700 || r >= 0x20100 && r < 0x2F700 {
				continue // Han and Hangul, of which the first and last are enough
			}
			if isUnnormalized(r) || r >= 0xD800 && r < 0xE000 {
				continue
			}
			for _, text := range []string{string(r), "a" + string(r) + "\u0301\u0323\u0334"} {
				if got, want := canonical(normal, text), normal.String(text); got != want {
					t.Fatalf("%s of %+q is %+q, want %+q", form, text, got, want)
				}
			}
		}
	}
	// x/text writes U+034F into a row of more than 30 marks.
	if got, want := canonical(forms["NFC"], "a"+strings.Repeat("\u0323\u0301", 40)), "\u1EA1"+strings.Repeat("\u0323", 39)+
		strings.Repeat("\u0301", 40); got != want {
		t.Errorf("a long row of marks is %+q", got)
	}
	if got := canonical(forms["NFC"], "\U00011935\U00011930"); got != "\U00011935\U00011930" {
		t.Errorf("code points of Unicode 13 are composed to %+q", got)
	}
}
