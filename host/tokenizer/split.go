package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// behavior says what a split does with its matches, in the words of the tokenizers library.
type behavior uint8

const (
	isolated behavior = iota
	removed
	contiguous
	mergedWithPrevious
	mergedWithNext
)

var behaviors = map[string]behavior{
	"Isolated": isolated, "Removed": removed, "Contiguous": contiguous,
	"MergedWithPrevious": mergedWithPrevious, "MergedWithNext": mergedWithNext,
}

// span is a part of a text, and whether it is a match.
type span struct {
	start, end int
	match      bool
}

// finder finds the next match in a text at from or later. A match is not empty.
type finder func(from int) (start, end int, ok bool)

// spansOf appends the parts of a text: matches and what lies between them.
func spansOf(spans []span, length int, invert bool, find finder) []span {
	at := 0
	for at < length {
		start, end, ok := find(at)
		if !ok {
			break
		}
		if at < start {
			spans = append(spans, span{at, start, invert})
		}
		spans = append(spans, span{start, end, !invert})
		at = end
	}
	if at < length {
		spans = append(spans, span{at, length, invert})
	}
	return spans
}

// apply joins or drops spans as the behavior says, in place.
func (b behavior) apply(spans []span) []span {
	out := spans[:0]
	before := false // whether the span before was a match
	switch b {
	case removed:
		for _, s := range spans {
			if !s.match {
				out = append(out, s)
			}
		}
	case contiguous, mergedWithPrevious:
		for _, s := range spans {
			joins := s.match == before
			if b == mergedWithPrevious {
				joins = s.match && !before
			}
			if before = s.match; joins && len(out) > 0 {
				out[len(out)-1].end = s.end
			} else {
				out = append(out, s)
			}
		}
	case mergedWithNext:
		for i, s := range spans {
			// A match belongs to what follows it, unless that is a match too.
			if before && len(out) > 0 && i > 0 && !s.match {
				out[len(out)-1].end = s.end
			} else {
				out = append(out, s)
			}
			before = s.match
		}
	default:
		out = spans
	}
	return out
}

// stage is one pre-tokenizer of the chain. It gives the pieces of a text to emit, which passes them on to the next.
type stage interface {
	cut(e *encoding, depth int, text string, first bool)
}

// patternStage splits at the matches of a regular expression.
type patternStage struct {
	program  *program
	behavior behavior
	invert   bool
}

func (s patternStage) cut(e *encoding, depth int, text string, first bool) {
	scratch := e.scratch(depth)
	scratch.search.begin(s.program, text)
	e.pieces(depth, text, first, s.behavior, s.invert, scratch.search.next)
}

// textStage splits at each occurrence of a text.
type textStage struct {
	text     string
	behavior behavior
	invert   bool
}

func (s textStage) cut(e *encoding, depth int, text string, first bool) {
	e.pieces(depth, text, first, s.behavior, s.invert, literalFinder(text, s.text))
}

// digitStage isolates numbers.
type digitStage struct{ behavior behavior }

func (s digitStage) cut(e *encoding, depth int, text string, first bool) {
	e.pieces(depth, text, first, s.behavior, false, func(from int) (start, end int, ok bool) {
		for i, r := range text[from:] {
			if numericSet.has(r) {
				return from + i, from + i + utf8.RuneLen(r), true
			}
		}
		return 0, 0, false
	})
}

// metaspaceStage writes spaces as another character, and splits before each.
type metaspaceStage struct {
	replacement string
	prepend     prependScheme
	split       bool
}

// prependScheme says which pieces get a space in front that have none.
type prependScheme uint8

const (
	prependAlways prependScheme = iota
	prependFirst                // the piece that begins the text
	prependNever
)

var prependSchemes = map[string]prependScheme{"always": prependAlways, "first": prependFirst, "never": prependNever}

func (s metaspaceStage) cut(e *encoding, depth int, text string, first bool) {
	text = strings.ReplaceAll(text, " ", s.replacement)
	if (s.prepend == prependAlways || s.prepend == prependFirst && first) && !strings.HasPrefix(text, s.replacement) {
		text = s.replacement + text
	}
	if !s.split {
		e.cut(depth+1, text, first)
		return
	}
	e.pieces(depth, text, first, mergedWithNext, false, literalFinder(text, s.replacement))
}

// byteLevelStage is the last of a chain: the model reads bytes.
type byteLevelStage struct{ prefixSpace, useRegex bool }

func (s byteLevelStage) cut(e *encoding, depth int, text string, first bool) {
	if s.prefixSpace && !strings.HasPrefix(text, " ") {
		text = " " + text
	}
	if !s.useRegex {
		e.cut(depth+1, text, first)
		return
	}
	patternStage{program: gpt2Program}.cut(e, depth, text, first)
}

// literalFinder finds the occurrences of what in text.
func literalFinder(text, what string) finder {
	return func(from int) (start, end int, ok bool) {
		i := strings.Index(text[from:], what)
		if i < 0 {
			return 0, 0, false
		}
		return from + i, from + i + len(what), true
	}
}

// gpt2 is the pattern of the pre-tokenizer ByteLevel with use_regex.
const gpt2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

var gpt2Program = mustCompile(gpt2)

// compilePattern parses and compiles a regular expression.
func compilePattern(pattern string) (*program, error) {
	e, err := parsePattern(pattern)
	if err != nil {
		return nil, err
	}
	return compile(e)
}

func mustCompile(pattern string) *program {
	p, err := compilePattern(pattern)
	if err != nil {
		panic(fmt.Sprintf("pattern %q: %v", pattern, err))
	}
	return p
}
