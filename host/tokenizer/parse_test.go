package tokenizer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestRefusals(t *testing.T) {
	_, data := fixture(t, "plain")
	plain := string(data)
	const bytes = `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`
	const pre = `"pre_tokenizer":` + bytes
	const dec = `"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`
	split := func(regex string) string {
		return `"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"` + regex +
			`"},"behavior":"Isolated","invert":false},` + bytes + `]}`
	}
	for _, c := range []struct{ name, old, new, pointer, cause string }{
		{"normalizer", `"normalizer":null`, `"normalizer":{"type":"Nmt"}`, "/normalizer", `normalizer "Nmt" is not supported`},
		{"normalizer of no type", `"normalizer":null`, `"normalizer":{}`, "/normalizer", `normalizer "" is not supported`},
		{"normalizer in a sequence", `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"BertNormalizer"}]}`,
			"/normalizer/normalizers/1", `"BertNormalizer" is not supported`},
		{"sequence of nothing", `"normalizer":null`, `"normalizer":{"type":"Sequence"}`, "/normalizer/normalizers", "missing"},
		{"null in a sequence", `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[null]}`, "/normalizer/normalizers/0", "null"},
		{"sequence of decoders", `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[],"decoders":[]}`, "/normalizer", "belong"},
		{"replace a regex", `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"Regex":" +"},"content":"_"}`,
			"/normalizer/pattern/Regex", "regular expression"},
		{"replace nothing", `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"String":""},"content":"_"}`,
			"/normalizer/pattern/String", "empty"},
		{"replace by too much", `"normalizer":null`, `"normalizer":{"type":"Replace","pattern":{"String":"a"},"content":"` +
			strings.Repeat("a", 65) + `"}`, "/normalizer/content", "64 times"},
		{"prepend too much", `"normalizer":null`, `"normalizer":{"type":"Prepend","prepend":"` + strings.Repeat("a", 17) + `"}`,
			"/normalizer/prepend", "16 bytes"},
		{"truncation", `"truncation":null`, `"truncation":{"max_length":8}`, "/truncation", "must be null"},
		{"padding", `"padding":null`, `"padding":{"pad_id":8}`, "/padding", "must be null"},
		{"pre-tokenizer", `"pre_tokenizer":{"type":"ByteLevel"`, `"pre_tokenizer":{"type":"Whitespace"`, "/pre_tokenizer", `"Whitespace"`},
		{"pattern", pre, split(`\\b.+`), "/pre_tokenizer/pretokenizers/0/pattern/Regex", `the escape "\\b" is not supported`},
		{"pattern of nothing", pre, split(`a*`), "/pre_tokenizer/pretokenizers/0/pattern/Regex", "matches the empty text"},
		{"behavior", pre, strings.Replace(split("a"), "Isolated", "Dropped", 1), "/pre_tokenizer/pretokenizers/0/behavior", `"Dropped"`},
		{"behind bytes", pre, `"pre_tokenizer":{"type":"Sequence","pretokenizers":[` + bytes + `,{"type":"Digits","individual_digits":true}]}`,
			"/pre_tokenizer/pretokenizers/1", `"Digits" behind ByteLevel`},
		{"scheme", pre, `"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"last"}`, "/pre_tokenizer/prepend_scheme", `"last"`},
		{"scheme against itself", pre, `"pre_tokenizer":{"type":"Metaspace","replacement":"_","add_prefix_space":false}`,
			"/pre_tokenizer/add_prefix_space", "agree"},
		{"replacement", pre, `"pre_tokenizer":{"type":"Metaspace","replacement":"__"}`, "/pre_tokenizer/replacement", "one character"},
		{"first behind a normalizer", `"normalizer":null,` + pre, `"normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Metaspace",` +
			`"replacement":"_","prepend_scheme":"first"}`, "/pre_tokenizer/prepend_scheme", "behind a normalizer"},
		{"characters lost", pre, `"pre_tokenizer":null`, "/model", "would be lost"},
		{"no pre-tokenizer", `"pre_tokenizer":{`, `"x_tokenizer":{`, "/x_tokenizer", "not known"},
		{"pre-tokenizer member", `"use_regex":true},"post`, `"use_regex":true,"split":1},"post`, "/pre_tokenizer/split", "not known"},
		{"no prefix", `"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,`, `"pre_tokenizer":{"type":"ByteLevel",`,
			"/pre_tokenizer/add_prefix_space", "missing"},
		{"post-processor", `"type":"TemplateProcessing"`, `"type":"RobertaProcessing"`, "/post_processor", `"RobertaProcessing"`},
		{"decoder", `"decoder":{"type":"ByteLevel"`, `"decoder":{"type":"WordPiece"`, "/decoder", `"WordPiece"`},
		{"no decoder", dec, `"decoder":null`, "/decoder", `"null"`},
		{"decoders of nothing", dec, `"decoder":{"type":"Sequence","decoders":[]}`, "/decoder", "no decoder"},
		{"bytes of the fused", dec, `"decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]}`,
			"/decoder/decoders/1", "single token"},
		{"strip the end", dec, `"decoder":{"type":"Strip","content":" ","start":0,"stop":1}`, "/decoder/stop", "must be 0"},
		{"strip two", dec, `"decoder":{"type":"Strip","content":"ab","start":0,"stop":0}`, "/decoder/content", "one character"},
		{"spell too much", dec, `"decoder":{"type":"Replace","pattern":{"String":"a"},"content":"aaaaa"}`, "/decoder/content", "4 times"},
		{"model", `"type":"BPE"`, `"type":"Unigram"`, "/model", `"Unigram"`},
		{"dropout", `"dropout":null`, `"dropout":0.1`, "/model/dropout", "0.1"},
		{"prefix", `"continuing_subword_prefix":null`, `"continuing_subword_prefix":"##"`, "/model/continuing_subword_prefix", "prefix"},
		{"suffix", `"end_of_word_suffix":null`, `"end_of_word_suffix":"</w>"`, "/model/end_of_word_suffix", "suffix"},
		{"negative id", `"he":260`, `"he":-1`, "/model/vocab/he", "outside"},
		{"large id", `"he":260`, `"he":1048576`, "/model/vocab/he", "outside"},
		{"id of 2^32", `"he":260`, `"he":4294967296`, "/model/vocab", "32 bits"},
		{"fractional id", `"he":260`, `"he":260.0`, "/model/vocab", "32 bits"},
		{"id as text", `"he":260`, `"he":"260"`, "/model/vocab", "32 bits"},
		{"same id twice", `"he":260`, `"he":261`, "/model/vocab/ll", "also the id"},
		{"empty token", `"he":260`, `"":260`, "/model/vocab/", "empty"},
		{"no token for a byte", `"A":68`, `"AA":68`, "/model/vocab", "no token for 1 of the bytes that UTF-8 uses, first 0x41"},
		{"rule out of the vocabulary", `["h","e"]`, `["h","x"]`, "/model/merges/1", "not in the vocabulary"},
		{"rule of three", `["h","e"]`, `["h","e","l"]`, "/model/merges", "want two"},
		{"rules of two kinds", `["h","e"]`, `"h e"`, "/model/merges", "two kinds"},
		{"added twice", `{"id":2,"content":"</s>"`, `{"id":1,"content":"<s>"`, "/added_tokens/2/content", "twice"},
		{"added, empty", `"content":"</s>"`, `"content":""`, "/added_tokens/2/content", "length 0"},
		{"added with another id", `{"id":2,`, `{"id":3,`, "/added_tokens/2/id", "would give this token 2"},
		{"added out of order", `{"id":2,"content":"</s>"`, `{"id":400,"content":"<x>"`, "/added_tokens/2/id", "would give this token 281"},
		{"template without text", `{"Sequence":{"id":"A","type_id":0}}],"pair"`, `{"SpecialToken":{"id":"<s>","type_id":0}}],"pair"`,
			"/post_processor/single", "0 times"},
		{"template with an unlisted token", `"single":[{"SpecialToken":{"id":"<s>"`, `"single":[{"SpecialToken":{"id":"<x>"`,
			"/post_processor/single/0", "not listed"},
		{"template with an unknown id", `"ids":[1]`, `"ids":[999]`, "/post_processor/special_tokens/<s>", "no token"},
		{"member twice", `"version":"1.0"`, `"version":"1.0","version":"1.0"`, "/version", "duplicate"},
		{"token twice", `"he":260`, `"he":260,"he":260`, "/model/vocab/he", "duplicate"},
		{"token twice, escaped", `"he":260`, `"he":260,"h\u0065":260`, "/model/vocab/he", "duplicate"},
		{"invalid UTF-8", `"he":260`, "\"h\xff\":260", "/model/vocab", "UTF-8"},
		{"lone surrogate", `"he":260`, `"h\ud800":260`, "/model/vocab", ""},
		{"unknown member", `"version":"1.0"`, `"version":"1.0","extra":1`, "/extra", "not known"},
		{"wrong type", `"version":"1.0"`, `"version":1`, "/version", "number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(plain, c.old) {
				t.Fatalf("the fixture does not hold %s", c.old)
			}
			_, err := Parse("tokenizer.json", []byte(strings.Replace(plain, c.old, c.new, 1)))
			faults := fault.All(err)
			if len(faults) == 0 {
				t.Fatalf("accepted: %v", err)
			}
			for _, e := range faults {
				if e.Code == fault.TKConfig && e.File == "tokenizer.json" && e.Pointer == c.pointer && strings.Contains(e.Error(), c.cause) {
					return
				}
			}
			t.Errorf("no fault at %s with %q in:\n%v", c.pointer, c.cause, err)
		})
	}
}

// TestPrefixesOfPieces alternates a pre-tokenizer that puts a character in front of each piece and one that makes a piece of it: each pair
// doubles the pieces. What is accepted makes no more of a text than it may.
func TestPrefixesOfPieces(t *testing.T) {
	_, data := fixture(t, "plain")
	chain := func(pairs int, prefixSpace bool) string {
		var stages []string
		for i := range pairs {
			r := string(rune(0x2581 + i))
			stages = append(stages, `{"type":"Metaspace","replacement":"`+r+`","prepend_scheme":"always","split":false}`,
				`{"type":"Split","pattern":{"String":"`+r+`"},"behavior":"Isolated","invert":false}`)
		}
		stages = append(stages, fmt.Sprintf(`{"type":"ByteLevel","add_prefix_space":%v,"trim_offsets":true,"use_regex":false}`, prefixSpace))
		return strings.Replace(string(data), `{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`,
			`{"type":"Sequence","pretokenizers":[`+strings.Join(stages, ",")+`]}`, 1)
	}
	const text = "abcdefgh"
	tok, err := Parse("t", []byte(chain(5, false)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len([]rune(tok.Decode(tok.Encode(text, false), false))); n > 2*maxPrefixes*len(text) {
		t.Errorf("%d characters become %d", len(text), n)
	}
	for name, c := range map[string]struct{ file, pointer string }{
		"six pairs":                {chain(6, false), "/pre_tokenizer/pretokenizers/10"},
		"five pairs and ByteLevel": {chain(5, true), "/pre_tokenizer/pretokenizers/10"},
	} {
		_, err := Parse("t", []byte(c.file))
		faults := fault.All(err)
		if len(faults) == 0 || faults[0].Pointer != c.pointer || !strings.Contains(faults[0].Error(), "16 times") {
			t.Errorf("%s: %v, want a fault at %s", name, err, c.pointer)
		}
	}
}

func TestRefusesBytes(t *testing.T) {
	for name, data := range map[string]string{
		"empty": "", "null": "null", "array": "[]", "cut": `{"version":"1.0","model":{`, "more": `{} {}`,
		"deep": strings.Repeat("[", 20000), "no model": `{"version":"1.0"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("t", []byte(data)); len(fault.All(err)) == 0 {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := Parse("t", make([]byte, MaxFileBytes+1)); len(fault.All(err)) != 1 {
		t.Errorf("too long: %v", err)
	}
}

// TestAllFaults checks that everything wrong is said in one go, and no more than a page of it.
func TestAllFaults(t *testing.T) {
	_, data := fixture(t, "plain")
	broken := strings.NewReplacer(`"normalizer":null`, `"normalizer":{"type":"Nmt"}`, `"dropout":null`, `"dropout":1`,
		`"end_of_word_suffix":null`, `"end_of_word_suffix":"_"`).Replace(string(data))
	_, err := Parse("t", []byte(broken))
	if n := len(fault.All(err)); n != 3 {
		t.Errorf("%d faults, want 3:\n%v", n, err)
	}
	many := strings.Replace(string(data), `"merges":[`, `"merges":[`+strings.Repeat(`["q","q"],`, 500), 1)
	_, err = Parse("t", []byte(many))
	faults := fault.All(err)
	if len(faults) != maxFaults+1 || !strings.Contains(err.Error(), "468 more faults") {
		t.Errorf("%d faults, want %d:\n%v", len(faults), maxFaults+1, err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	codeOf := func(err error) fault.Code {
		if list := fault.All(err); len(list) > 0 {
			return list[0].Code
		}
		return ""
	}
	if _, err := Open(dir); codeOf(err) != fault.IONotFound {
		t.Errorf("missing: %v", err)
	}
	name := filepath.Join(dir, FileName)
	if err := os.Mkdir(name, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); codeOf(err) != fault.IOFileType {
		t.Errorf("directory: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	_, data := fixture(t, "plain")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Error(err)
	}
}

// TestLaterRule checks that the later of two rules for one pair counts, as in the library.
func TestLaterRule(t *testing.T) {
	_, data := fixture(t, "plain")
	for _, c := range []struct {
		name, merges string
		want         int
	}{
		{"h e before e l", `["h","e"],["e","l"]`, 2}, {"h e after e l", `["h","e"],["e","l"],["h","e"]`, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := strings.Replace(string(data), `"vocab":{`, `"vocab":{"el":900,`, 1)
			start := strings.Index(file, `"merges":[`)
			tok, err := Parse("t", []byte(file[:start]+`"merges":[`+c.merges+`]}}`))
			if err != nil {
				t.Fatal(err)
			}
			ids := tok.Encode("hel", false)
			he, _ := tok.Token(ids[0])
			if wantFirst := map[bool]string{true: "h", false: "he"}[strings.Count(c.merges, "h") == 2]; len(ids) != c.want || he != wantFirst {
				t.Errorf("%v, begins with %q, want %q", ids, he, wantFirst)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"plain", "prefix", "shapes/qwen2", "shapes/llama2", "shapes/mistral", "shapes/options", "shapes/unknown"} {
		_, data := fixture(f, name)
		f.Add(data)
	}
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a a"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse("t", data)
		if err != nil {
			if len(fault.All(err)) == 0 {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		for _, text := range []string{"Hello <s> world's 12 \n\x00é😀\xff", "  <|im_start|>  ", strings.Repeat("a ▁", 50)} {
			ids := tok.Encode(text, true)
			for _, id := range append(ids, tok.EncodePlain(text, true)...) {
				if _, ok := tok.Token(id); !ok {
					t.Fatalf("id %d has no token", id)
				}
			}
			if got, want := stream(tok, ids, true), tok.Decode(ids, true); got != want {
				t.Fatalf("%v streams as %q, want %q", ids, got, want)
			}
		}
	})
}
