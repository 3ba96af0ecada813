package server

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// assembly makes the text of a choice from tokens. Text that may be the beginning of a stop string, or of a code point, is held back until
// it is known not to be; a token's log-probability goes out with the first of its text.
type assembly struct {
	tok      *tokenizer.Tokenizer
	decoder  *tokenizer.Decoder
	stops    []string
	logprobs bool
	ready    strings.Builder // to be taken
	held     string          // may begin a stop string
	released int             // code points that were ever ready
	tokens   []placed        // not taken yet, by offset
	stopped  bool            // a stop string ended the text
}

// placed is a token and where its text begins, in code points from the beginning of the choice's text.
type placed struct {
	token  *backendpb.Token
	offset int
	prompt bool
}

// newAssembly begins the text after a prompt.
func newAssembly(tok *tokenizer.Tokenizer, prompt []int32, stops []string, logprobs bool) *assembly {
	return &assembly{tok: tok, decoder: tok.NewDecoderAfter(prompt, true), stops: stops, logprobs: logprobs}
}

// echo puts the prompt before the generated text. tokens are the backend's, one for each id, or nil where no log-probabilities are asked
// for. Ids that the tokenizer added are no part of the text, nor are special tokens of a prompt that was given as ids.
func (a *assembly) echo(p prompt, tokens []*backendpb.Token) {
	decoder := a.tok.NewDecoder(!p.text)
	for i, id := range p.ids {
		if tokens != nil {
			a.tokens = append(a.tokens, placed{tokens[i], a.released, true})
		}
		if i < p.template[0] || i >= len(p.ids)-p.template[1] {
			continue
		}
		a.release(decoder.Push(id))
	}
	a.release(decoder.Flush())
}

func (a *assembly) release(text string) {
	a.ready.WriteString(text)
	a.released += utf8.RuneCountInString(text)
}

// push adds a generated token. One that ends the text is no part of it. After a stop string it does nothing.
func (a *assembly) push(token *backendpb.Token, ends bool) {
	if a.stopped {
		return
	}
	if a.logprobs {
		a.tokens = append(a.tokens, placed{token, a.released + utf8.RuneCountInString(a.held), false})
	}
	if !ends {
		a.text(a.decoder.Push(token.GetId()))
	}
}

// text adds decoded text, looks for stop strings, and releases what none of them can begin with.
func (a *assembly) text(piece string) {
	a.held += piece
	cut := -1
	for _, stop := range a.stops {
		if i := strings.Index(a.held, stop); i >= 0 && (cut < 0 || i < cut) {
			cut = i
		}
	}
	if cut >= 0 {
		a.release(a.held[:cut])
		a.held, a.stopped = "", true
		a.tokens = slices.DeleteFunc(a.tokens, func(p placed) bool { return !p.prompt && p.offset >= a.released })
		return
	}
	keep := 0
	for _, stop := range a.stops {
		keep = max(keep, overlap(a.held, stop))
	}
	a.release(a.held[:len(a.held)-keep])
	a.held = a.held[len(a.held)-keep:]
}

// overlap is the length of the longest end of text that is a proper beginning of stop.
func overlap(text, stop string) int {
	for n := min(len(text), len(stop)-1); n > 0; n-- {
		if text[len(text)-n:] == stop[:n] {
			return n
		}
	}
	return 0
}

// finish ends the text: nothing is held back any more.
func (a *assembly) finish() {
	if a.stopped {
		return
	}
	a.text(a.decoder.Flush())
	a.release(a.held)
	a.held = ""
}

// take returns what is ready since the last take. Final also takes the tokens that have no text, such as the end of the text.
func (a *assembly) take(final bool) (string, []placed) {
	text := a.ready.String()
	a.ready.Reset()
	n := len(a.tokens)
	if !final {
		n, _ = slices.BinarySearchFunc(a.tokens, a.released, func(p placed, released int) int { return p.offset - released })
	}
	tokens := a.tokens[:n:n]
	a.tokens = a.tokens[n:]
	return text, tokens
}

// name writes a token as OpenAI's API does: its text, or its bytes where they are not whole code points.
func name(tok *tokenizer.Tokenizer, id int32) string {
	content, _ := tok.Token(id)
	if utf8.ValidString(content) {
		return content
	}
	var b strings.Builder
	b.WriteString("bytes:")
	for i := range len(content) {
		fmt.Fprintf(&b, "\\x%02x", content[i])
	}
	return b.String()
}
