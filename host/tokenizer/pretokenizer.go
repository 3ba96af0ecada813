package tokenizer

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func sortedNames(members map[string]bool) []string { return slices.Sorted(maps.Keys(members)) }

func (p *parser) preTokenizer(pointer string, value jsontext.Value, depth int) {
	t := p.t
	kind := kindOf(value)
	if t.model.byteLevel && kind != "Sequence" {
		p.refuse(pointer, "pre-tokenizer %q behind ByteLevel is not supported", kind)
		return
	}
	if len(t.stages) == maxChain {
		p.refuse(pointer, "more than %d pre-tokenizers", maxChain)
		return
	}
	add := func(s stage) { t.stages = append(t.stages, s) }
	switch kind {
	case "null":
		if depth > 0 {
			p.refuse(pointer, "null in a sequence")
		}
	case "Sequence":
		p.sequence(pointer, "pretokenizers", value, depth, p.preTokenizer)
	case "ByteLevel":
		t.model.byteLevel = true
		var b byteLevel
		if p.read(pointer, value, &b) && p.present(pointer, map[string]bool{"add_prefix_space": b.AddPrefixSpace != nil}) {
			if *b.AddPrefixSpace {
				p.prefixesPieces(pointer)
			}
			add(byteLevelStage{prefixSpace: *b.AddPrefixSpace, useRegex: b.UseRegex == nil || *b.UseRegex})
		}
	case "Metaspace":
		m, ok := p.metaspace(pointer, value)
		switch {
		case !ok:
		case m.prepend == prependFirst && len(t.normalizers) > 0:
			p.refuse(pointer+"/prepend_scheme", `"first" behind a normalizer is not supported`)
		case m.prepend == prependFirst && p.metaspaces > 0:
			p.refuse(pointer+"/prepend_scheme", `"first" behind another Metaspace is not supported`)
		case m.prepend == prependAlways && !p.prefixesPieces(pointer):
		default:
			add(m)
			p.cuts = p.cuts || m.split
		}
		p.metaspaces++
	case "Digits":
		p.cuts = true
		var d digits
		if p.read(pointer, value, &d) && p.present(pointer, map[string]bool{"individual_digits": d.IndividualDigits != nil}) {
			if *d.IndividualDigits {
				add(digitStage{isolated})
			} else {
				add(digitStage{contiguous})
			}
		}
	case "Split":
		p.cuts = true
		p.split(pointer, value)
	default:
		p.refuse(pointer, "pre-tokenizer %q is not supported", kind)
	}
}

// prefixesPieces counts a pre-tokenizer that puts a character in front of each piece, and refuses one too many: a split between two of them
// makes a piece of that character, which then gets one too.
func (p *parser) prefixesPieces(pointer string) bool {
	return !p.cuts || p.grows(pointer, &p.prefixes, 2, maxPrefixes)
}

func (p *parser) split(pointer string, value jsontext.Value) {
	var s splitter
	if !p.read(pointer, value, &s) || !p.present(pointer, map[string]bool{"invert": s.Invert != nil}) {
		return
	}
	b, ok := behaviors[s.Behavior]
	if !ok {
		p.refuse(pointer+"/behavior", "behavior %q is not known", s.Behavior)
		return
	}
	if s.Pattern.Regex == nil || s.Pattern.String != nil {
		if text, ok := p.text(pointer+"/pattern", s.Pattern); ok {
			p.t.stages = append(p.t.stages, textStage{text, b, *s.Invert})
		}
		return
	}
	program, err := compilePattern(*s.Pattern.Regex)
	if err != nil {
		p.refuse(pointer+"/pattern/Regex", "regular expression: %v", err)
		return
	}
	p.t.stages = append(p.t.stages, patternStage{program, b, *s.Invert})
}

// metaspace reads the pre-tokenizer or decoder of that type.
func (p *parser) metaspace(pointer string, value jsontext.Value) (metaspaceStage, bool) {
	var m metaspace
	if !p.read(pointer, value, &m) {
		return metaspaceStage{}, false
	}
	scheme := prependAlways
	if m.PrependScheme != nil {
		var ok bool
		if scheme, ok = prependSchemes[*m.PrependScheme]; !ok {
			p.refuse(pointer+"/prepend_scheme", "%q is not known", *m.PrependScheme)
			return metaspaceStage{}, false
		}
	}
	// The library wants older files to agree with themselves: false and no scheme is refused there too, as the scheme is "always" then.
	if m.AddPrefixSpace != nil && !*m.AddPrefixSpace && scheme != prependNever {
		p.refuse(pointer+"/add_prefix_space", `false does not agree with a prepend_scheme other than "never"`)
		return metaspaceStage{}, false
	}
	if utf8.RuneCountInString(m.Replacement) != 1 {
		p.refuse(pointer+"/replacement", "want one character")
		return metaspaceStage{}, false
	}
	return metaspaceStage{replacement: m.Replacement, prepend: scheme, split: m.Split == nil || *m.Split}, true
}
