package server

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/tokenizer"
)

// lowestLogprob stands for what JSON has no number for, as it does in vLLM.
const lowestLogprob = -9999.0

// logprobs is OpenAI's legacy object. The four arrays have one entry for each token; offsets are in code points of the choice's whole text.
type logprobs struct {
	Tokens        []string       `json:"tokens"`
	TokenLogprobs []*float64     `json:"token_logprobs"` // null for the first token of a prompt
	TopLogprobs   []alternatives `json:"top_logprobs"`
	TextOffset    []int          `json:"text_offset"`
}

// alternatives is an object of log-probabilities by token, the likeliest first; nil is null.
type alternatives []alternative

type alternative struct {
	token   string
	logprob float64
}

// MarshalJSONTo keeps the order, which a map would not.
func (a alternatives) MarshalJSONTo(enc *jsontext.Encoder) error {
	if a == nil {
		return enc.WriteToken(jsontext.Null)
	}
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, one := range a {
		if err := enc.WriteToken(jsontext.String(one.token)); err != nil {
			return err
		}
		if err := enc.WriteToken(jsontext.Float(one.logprob)); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// number is a log-probability that JSON can write; adding 0 turns -0 into 0.
func number(logprob float64) float64 { return max(logprob, lowestLogprob) + 0 }

// legacy writes tokens as /v1/completions does, nil where no log-probabilities were asked for.
func (a *assembly) legacy(tokens []placed) *logprobs {
	if !a.logprobs {
		return nil
	}
	out := &logprobs{}
	for _, p := range tokens {
		out.add(a.tok, p)
	}
	return out
}

// add appends a token: its alternatives, and itself where it is none of them.
func (l *logprobs) add(tok *tokenizer.Tokenizer, p placed) {
	own := name(tok, p.token.GetId())
	l.Tokens = append(l.Tokens, own)
	l.TextOffset = append(l.TextOffset, p.offset)
	if !p.token.GetHasLogprob() {
		l.TokenLogprobs = append(l.TokenLogprobs, nil)
		l.TopLogprobs = append(l.TopLogprobs, nil)
		return
	}
	logprob := number(p.token.GetLogprob())
	l.TokenLogprobs = append(l.TokenLogprobs, &logprob)
	top := alternatives{}
	seen := map[string]bool{}
	put := func(token string, logprob float64) {
		// Two ids may read the same, an added token and a merged one: the likelier is shown.
		if !seen[token] {
			seen[token] = true
			top = append(top, alternative{token, number(logprob)})
		}
	}
	for _, alt := range p.token.GetAlternatives() {
		put(name(tok, alt.GetId()), alt.GetLogprob())
	}
	put(own, logprob)
	l.TopLogprobs = append(l.TopLogprobs, top)
}
