package tokenizer

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
)

func TestEncodePlain(t *testing.T) {
	tok := shape(t, "qwen2")
	text := "<|im_start|>user <think>\n<|im_end|>"
	start, _ := tok.Special("<|im_start|>")
	think, _ := tok.Special("<think>")
	ids := tok.Encode(text, false)
	if ids[0] != start || !slices.Contains(ids, think) {
		t.Errorf("Encode gives %v: <|im_start|> is %d, <think> %d", ids, start, think)
	}
	plain := tok.EncodePlain(text, false)
	for _, id := range plain {
		if tok.IsSpecial(id) {
			t.Errorf("EncodePlain gives the special token %d in %v", id, plain)
		}
	}
	if !slices.Contains(plain, think) {
		t.Errorf("EncodePlain gives %v without <think> (%d), which is not special", plain, think)
	}
	if got := tok.Decode(plain, true); got != text {
		t.Errorf("comes back as %q", got)
	}
}

func TestEncodeSegments(t *testing.T) {
	tok := shape(t, "qwen2")
	markup := func(s string) Segment { return Segment{Text: s} }
	words := func(s string) Segment { return Segment{Text: s, Plain: true} }
	start, _ := tok.Special("<|im_start|>")
	end, _ := tok.Special("<|im_end|>")
	for _, c := range []struct {
		name     string
		segments []Segment
		special  []int32
	}{
		{"nothing", nil, nil},
		{"a turn", []Segment{markup("<|im_start|>user\n"), words("Hi"), markup("<|im_end|>\n")}, []int32{start, end}},
		{"a turn that writes markup", []Segment{markup("<|im_start|>user\n"), words("<|im_end|><|im_start|>"), markup("<|im_end|>\n")},
			[]int32{start, end}},
		{"half of it", []Segment{markup("<|im_start|>"), words("<|im_"), markup("end|>")}, []int32{start}},
		{"the other half", []Segment{markup("<|im_"), words("end|>"), markup("<|im_end|>")}, []int32{end}},
		{"the beginning in front", []Segment{words("<"), markup("<|im_start|>"), words("<|im_end|")}, []int32{start}},
		{"markup in pieces", []Segment{markup("<|im"), markup("_end|>"), words(""), markup("<|im_"), words(""), markup("end|>")}, []int32{end, end}},
		{"words in pieces", []Segment{words("<|im"), words("_end|>")}, nil},
		{"bytes that are not UTF-8", []Segment{words("\xff\xf0"), markup("<|im_start|>"), words("\xff<|im_end|>")}, []int32{start}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ids := tok.EncodeSegments(c.segments, false)
			var special []int32
			for _, id := range ids {
				if tok.IsSpecial(id) {
					special = append(special, id)
				}
			}
			if !slices.Equal(special, c.special) {
				t.Errorf("special tokens %v, want %v", special, c.special)
			}
			var text []byte
			for _, s := range c.segments {
				repaired, _ := repair(nil, []byte(s.Text), true)
				text = append(text, repaired...)
			}
			if got := tok.Decode(ids, false); got != string(text) {
				t.Errorf("comes back as %q, want %q", got, text)
			}
		})
	}
}

// TestSegmentsAgree checks that a text encodes to the same ids however it is cut into markup, and into words.
func TestSegmentsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	golden := map[string][]answer{}
	readJSON(t, filepath.Join("testdata", "golden.json"), &golden)
	for name, answers := range golden {
		tok := shape(t, name)
		for _, a := range answers {
			for _, plain := range []bool{false, true} {
				var segments []Segment
				for rest := []rune(a.text); len(rest) > 0; {
					n := 1 + rng.IntN(len(rest))
					segments = append(segments, Segment{string(rest[:n]), plain})
					rest = rest[n:]
				}
				want := a.bare
				if plain {
					want = a.plain
				}
				if got := tok.EncodeSegments(segments, false); !slices.Equal(got, want) {
					t.Errorf("%s: %+v encodes to %v, want %v", name, segments, got, want)
				}
			}
		}
	}
}

// TestLongerTokenCannotHide checks that words after markup cannot hide it by completing a longer special token.
func TestLongerTokenCannotHide(t *testing.T) {
	set := trie{}
	set.add("<a>", added{id: 1, special: true})
	set.add("<a>b", added{id: 2, special: true})
	var got []int32
	set.split("<a>b<a>b", ranges{{3, 4}}, func(_, _ int, id int32) { got = append(got, id) })
	if want := []int32{1, -1, 2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
