package tokenizer

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// postProcessor reads what is put around a text: nothing, or the ids of TemplateProcessing's template for a single text. In a sequence each
// is put around what those before it made.
func (p *parser) postProcessor(pointer string, value jsontext.Value, depth int) {
	switch kind := kindOf(value); kind {
	case "null":
		if depth > 0 {
			p.refuse(pointer, "null in a sequence")
		}
	case "Sequence":
		p.sequence(pointer, "processors", value, depth, p.postProcessor)
	case "ByteLevel": // trims offsets, which are not asked for
		p.read(pointer, value, &byteLevel{})
	case "TemplateProcessing":
		var t template
		if p.read(pointer, value, &t) {
			p.template(pointer, t)
		}
	default:
		p.refuse(pointer, "post-processor %q is not supported: only Sequence, TemplateProcessing and ByteLevel are", kind)
	}
}

func (p *parser) template(pointer string, t template) {
	texts := 0
	var before, after []int32
	for i, piece := range t.Single {
		place := pointer + "/single/" + strconv.Itoa(i)
		switch {
		case (piece.SpecialToken == nil) == (piece.Sequence == nil):
			p.refuse(place, "want one of SpecialToken and Sequence")
		case piece.Sequence != nil && piece.Sequence.ID != "A":
			p.refuse(place, "sequence %q in the template of a single text", piece.Sequence.ID)
		case piece.Sequence != nil:
			texts++
		default:
			special, ok := t.SpecialTokens[piece.SpecialToken.ID]
			if !ok {
				p.refuse(place, "special token %q is not listed in special_tokens", piece.SpecialToken.ID)
				continue
			}
			for _, id := range special.IDs {
				if _, ok := p.t.Token(id); !ok {
					p.refuse(pointerTo(pointer+"/special_tokens", piece.SpecialToken.ID), "id %d is no token", id)
				}
			}
			if texts == 0 {
				before = append(before, special.IDs...)
			} else {
				after = append(after, special.IDs...)
			}
		}
		if len(p.t.before)+len(p.t.after)+len(before)+len(after) > maxTemplate {
			p.refuse(pointer+"/single", "more than %d tokens", maxTemplate)
			return
		}
	}
	if texts != 1 {
		p.refuse(pointer+"/single", "the text is in the template %d times", texts)
	}
	p.t.before = slices.Concat(before, p.t.before)
	p.t.after = slices.Concat(p.t.after, after)
}
