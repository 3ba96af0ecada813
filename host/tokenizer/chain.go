package tokenizer

import (
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxChain is how many steps the normalizers, pre-tokenizers or decoders of a file may be, and maxNesting how deep their sequences.
const (
	maxChain   = 32
	maxNesting = 8
)

// maxGrowth is how many times as long as a text the normalizers may make it, and maxSpelling the decoders a token. maxPrepend is the longest
// text that is put in front. maxPrefixes is how many times as many characters the pre-tokenizers may make of a text that put one in front of
// each piece: those behind a split at most double them. They bound what a hostile file makes of a text.
const (
	maxGrowth   = 64
	maxSpelling = 4
	maxPrepend  = 16
	maxPrefixes = 16
)

// grows counts a step that makes its input up to factor times as long, and refuses it when all steps together exceed most.
func (p *parser) grows(pointer string, total *int, factor, most int) bool {
	if *total *= max(factor, 1); *total > most {
		*total = most
		p.refuse(pointer, "texts would become more than %d times as long", most)
		return false
	}
	return true
}

// factorOf is how many times as long a text becomes, at most, when old becomes new in it.
func factorOf(old, new string) int { return min((len(new)+len(old)-1)/len(old), maxGrowth+1) }

// sequence calls each for the members of a sequence that may have no others than those named.
func (p *parser) sequence(pointer, name string, value jsontext.Value, depth int, each func(pointer string, value jsontext.Value, depth int)) {
	var s sequence
	if !p.read(pointer, value, &s) {
		return
	}
	lists := map[string][]jsontext.Value{
		"normalizers": s.Normalizers, "pretokenizers": s.PreTokenizers, "decoders": s.Decoders, "processors": s.Processors,
	}
	members := lists[name]
	delete(lists, name)
	for _, other := range lists {
		if other != nil {
			p.refuse(pointer, "a member that does not belong here beside %s", name)
			return
		}
	}
	switch {
	case members == nil:
		p.refuse(pointer+"/"+name, "missing")
	case depth >= maxNesting || len(members) > maxChain:
		p.refuse(pointer, "more than %d steps, or nested deeper than %d", maxChain, maxNesting)
	default:
		for i, member := range members {
			each(pointer+"/"+name+"/"+strconv.Itoa(i), member, depth+1)
		}
	}
}

// present refuses a part that lacks members: it says of each by its name whether it is there.
func (p *parser) present(pointer string, members map[string]bool) bool {
	all := true
	for _, name := range sortedNames(members) {
		if !members[name] {
			p.refuse(pointer+"/"+name, "missing")
			all = false
		}
	}
	return all
}

// text returns the text of a pattern that is no regular expression.
func (p *parser) text(pointer string, what pattern) (string, bool) {
	switch {
	case what.Regex != nil && what.String == nil:
		p.refuse(pointer+"/Regex", "a regular expression is not supported here")
	case what.String == nil || what.Regex != nil:
		p.refuse(pointer, "want one of String and Regex")
	case *what.String == "":
		p.refuse(pointer+"/String", "an empty text")
	default:
		return *what.String, true
	}
	return "", false
}

func (p *parser) normalizer(pointer string, value jsontext.Value, depth int) {
	kind := kindOf(value)
	if form, ok := forms[kind]; ok {
		if p.read(pointer, value, &bare{}) && p.grows(pointer, &p.growth, formGrowth[kind], maxGrowth) {
			p.normalize(pointer, func(text string) string { return canonical(form, text) })
		}
		return
	}
	switch kind {
	case "null":
		if depth > 0 {
			p.refuse(pointer, "null in a sequence")
		}
	case "Sequence":
		p.sequence(pointer, "normalizers", value, depth, p.normalizer)
	case "Prepend":
		var n prepender
		if !p.read(pointer, value, &n) || !p.present(pointer, map[string]bool{"prepend": n.Prepend != nil}) {
			return
		}
		if len(*n.Prepend) > maxPrepend {
			p.refuse(pointer+"/prepend", "longer than %d bytes", maxPrepend)
		} else {
			p.normalize(pointer, prepend(*n.Prepend))
		}
	case "Replace":
		var n replacer
		if p.read(pointer, value, &n) && p.present(pointer, map[string]bool{"content": n.Content != nil}) {
			old, ok := p.text(pointer+"/pattern", n.Pattern)
			if ok && p.grows(pointer+"/content", &p.growth, factorOf(old, *n.Content), maxGrowth) {
				p.normalize(pointer, replaceText(old, *n.Content))
			}
		}
	case "Strip":
		var n stripper
		if !p.read(pointer, value, &n) ||
			!p.present(pointer, map[string]bool{"strip_left": n.StripLeft != nil, "strip_right": n.StripRight != nil}) {
			return
		}
		p.normalize(pointer, stripSpace(*n.StripLeft, *n.StripRight))
	case "Lowercase":
		if p.read(pointer, value, &bare{}) && p.grows(pointer, &p.growth, 2, maxGrowth) {
			p.normalize(pointer, lowercase)
		}
	default:
		p.refuse(pointer, "normalizer %q is not supported", kind)
	}
}

func (p *parser) normalize(pointer string, n normalizer) {
	if len(p.t.normalizers) == maxChain {
		p.refuse(pointer, "more than %d normalizers", maxChain)
		return
	}
	p.t.normalizers = append(p.t.normalizers, n)
}

func (p *parser) decoder(pointer string, value jsontext.Value, depth int) {
	t := p.t
	if len(t.decoders) == maxChain {
		p.refuse(pointer, "more than %d decoders", maxChain)
		return
	}
	add := func(d decoder) { t.decoders = append(t.decoders, d) }
	kind := kindOf(value)
	if p.fused && (kind == "Replace" || kind == "ByteFallback" || kind == "ByteLevel") {
		p.refuse(pointer, "decoder %s after one that makes a single token of all is not supported", kind)
		return
	}
	switch kind {
	case "Sequence":
		p.sequence(pointer, "decoders", value, depth, p.decoder)
		if depth == 0 && len(t.decoders) == 0 && len(p.faults) == 0 {
			p.refuse(pointer, "no decoder")
		}
	case "ByteLevel":
		if p.read(pointer, value, &byteLevel{}) {
			add(byteLevelDecoder{})
			p.fused = true
		}
	case "ByteFallback":
		if p.read(pointer, value, &bare{}) {
			add(byteFallbackDecoder{})
		}
	case "Fuse":
		if p.read(pointer, value, &bare{}) {
			add(fuseDecoder{})
			p.fused = true
		}
	case "Replace":
		var d replacer
		if p.read(pointer, value, &d) && p.present(pointer, map[string]bool{"content": d.Content != nil}) {
			old, ok := p.text(pointer+"/pattern", d.Pattern)
			if ok && p.grows(pointer+"/content", &p.spelling, factorOf(old, *d.Content), maxSpelling) {
				add(replaceDecoder{old, *d.Content})
			}
		}
	case "Metaspace":
		if m, ok := p.metaspace(pointer, value); ok {
			add(metaspaceDecoder{m.replacement, m.prepend != prependNever, p.fused})
		}
	case "Strip":
		var d stripper
		switch {
		case !p.read(pointer, value, &d):
		case !p.present(pointer, map[string]bool{"content": d.Content != nil, "start": d.Start != nil, "stop": d.Stop != nil}):
		case utf8.RuneCountInString(*d.Content) != 1:
			p.refuse(pointer+"/content", "want one character")
		case *d.Start < 0:
			p.refuse(pointer+"/start", "negative")
		case *d.Stop != 0:
			p.refuse(pointer+"/stop", "taking characters off the end is not supported: it must be 0")
		default:
			add(stripDecoder{*d.Content, *d.Start, p.fused})
		}
	default:
		p.refuse(pointer, "decoder %q is not supported", kind)
	}
}
