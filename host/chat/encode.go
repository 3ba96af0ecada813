package chat

import (
	"github.com/tenon-ml/tenon/host/chat/jinja"
	"github.com/tenon-ml/tenon/host/tokenizer"
)

// Encode returns the ids of a rendered text. They are those of the whole text, as transformers has them, except that a special token which is
// not written by the template alone is no token but the text that it looks like: nobody can end his turn in a message, or begin another's.
func Encode(tok *tokenizer.Tokenizer, text jinja.Text) []int32 {
	var segments []tokenizer.Segment
	for piece, foreign := range text.Spans {
		segments = append(segments, tokenizer.Segment{Text: piece, Plain: foreign})
	}
	return tok.EncodeSegments(segments, false)
}
