package tokenizer

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func (p *parser) model(value jsontext.Value) {
	// Files of the first years have no "type" here; the library tries BPE first.
	if kind := kindOf(value); kind != "BPE" && kind != "" {
		p.refuse("/model", "model %q is not supported: only BPE is", kind)
		return
	}
	var m model
	if !p.read("/model", value, &m) {
		return
	}
	if m.Dropout != nil && *m.Dropout != 0 {
		p.refuse("/model/dropout", "dropout %v is not supported: the same text must give the same ids", *m.Dropout)
	}
	if m.ContinuingSubwordPrefix != nil && *m.ContinuingSubwordPrefix != "" {
		p.refuse("/model/continuing_subword_prefix", "a prefix for the later parts of a word is not supported")
	}
	if m.EndOfWordSuffix != nil && *m.EndOfWordSuffix != "" {
		p.refuse("/model/end_of_word_suffix", "a suffix for the last part of a word is not supported")
	}
	p.vocab(m.Vocab)
	if p.t.model.byteLevel {
		p.bytes(m)
	} else {
		p.characters(m)
	}
	p.merges(m.Merges)
}

// vocab places the entries by their id.
func (p *parser) vocab(v vocab) {
	t := p.t
	p.entries, p.ids = len(v), make(map[string]int32, len(v))
	highest := int32(-1)
	for _, e := range v {
		if e.id >= 0 && e.id < MaxTokens {
			highest = max(highest, e.id)
		}
	}
	t.tokens = make([]token, highest+1)
	for _, e := range v {
		pointer := pointerTo("/model/vocab", e.content)
		switch {
		case e.content == "":
			p.refuse(pointer, "an empty token")
		case len(e.content) > MaxTokenBytes:
			p.refuse("/model/vocab", "token %.64q… is longer than %d bytes", e.content, MaxTokenBytes)
		case e.id < 0 || e.id >= MaxTokens:
			p.refuse(pointer, "id %d is outside 0 to %d", e.id, MaxTokens-1)
		case t.tokens[e.id].written != "":
			p.refuse(pointer, "id %d is also the id of another token", e.id)
		default:
			p.ids[e.content] = e.id
			t.tokens[e.id].written = e.content
		}
	}
}

// bytes fills a model that reads bytes, which are written in the alphabet. What unk_token and byte_fallback say has no effect: every byte has
// a token.
func (p *parser) bytes(m model) {
	b := &p.t.model
	for i := range b.first {
		b.first[i] = -1
	}
	if m.IgnoreMerges {
		b.whole = make(map[string]int32, len(p.ids))
	}
	for content, id := range p.ids {
		bytes, ok := fromAlphabet(content)
		if !ok {
			continue // no text is encoded to it
		}
		if len(bytes) == 1 {
			b.first[bytes[0]] = id
		}
		if m.IgnoreMerges {
			b.whole[bytes] = id
		}
	}
	var lost []string
	for i, id := range b.first {
		if id < 0 && !neverInUTF8(i) {
			lost = append(lost, fmt.Sprintf("0x%02X", i))
		}
	}
	if len(lost) > 0 {
		p.refuse("/model/vocab", "no token for %d of the bytes that UTF-8 uses, first %s: text that holds them would lose them", len(lost), lost[0])
	}
}

// characters fills a model that reads code points.
func (p *parser) characters(m model) {
	b := &p.t.model
	b.runes, b.fuseUnknown, b.unknown = map[rune]int32{}, m.FuseUnk, -1
	for content, id := range p.ids {
		if r, size := utf8.DecodeRuneInString(content); size == len(content) {
			b.runes[r] = id
		}
	}
	if m.IgnoreMerges {
		b.whole = p.ids
	}
	complete := m.ByteFallback
	for i := range b.fallback {
		id, ok := p.ids[fmt.Sprintf("<0x%02X>", i)]
		if !ok || !m.ByteFallback {
			id = -1
			complete = complete && neverInUTF8(i)
		}
		b.fallback[i] = id
	}
	switch {
	case m.UnkToken != nil:
		id, ok := p.ids[*m.UnkToken]
		if !ok {
			p.refuse("/model/unk_token", "%.64q is not in the vocabulary", *m.UnkToken)
		}
		b.unknown = id
	case !complete:
		p.refuse("/model", "neither an unk_token nor a token for each byte: text that the vocabulary does not hold would be lost")
	}
}

// merges places the rules. Where one is there twice the later counts, as in the library.
func (p *parser) merges(rules merges) {
	b := &p.t.model
	b.merges, b.made = make(map[uint64]int32, len(rules)), make([]int32, len(rules))
	b.joins = map[uint64]bool{}
	for rank, rule := range rules {
		left, okLeft := p.ids[rule[0]]
		right, okRight := p.ids[rule[1]]
		id, ok := p.ids[rule[0]+rule[1]]
		if !okLeft || !okRight || !ok {
			p.refuse("/model/merges/"+strconv.Itoa(rank), "%.64q, %.64q or both together are not in the vocabulary", rule[0], rule[1])
			continue
		}
		b.merges[pair(left, right)], b.made[rank] = int32(rank), id
		if !b.byteLevel {
			last, _ := utf8.DecodeLastRuneInString(rule[0])
			first, _ := utf8.DecodeRuneInString(rule[1])
			b.joins[pair(last, first)] = true
		}
	}
}

// added places the added tokens. One that the vocabulary does not hold gets the next free id in the library, whatever the file says.
func (p *parser) added(tokens []addedToken) {
	next := int32(p.entries)
	for i, a := range tokens {
		pointer := "/added_tokens/" + strconv.Itoa(i)
		if a.Content == "" || len(a.Content) > MaxAddedBytes {
			p.refuse(pointer+"/content", "length %d is outside 1 to %d bytes", len(a.Content), MaxAddedBytes)
			continue
		}
		if _, ok := p.t.special[a.Content]; ok {
			p.refuse(pointer+"/content", "the same added token twice")
			continue
		}
		want, known := p.ids[a.Content]
		if !known {
			want, next = next, next+1
		}
		if a.ID != want {
			p.refuse(pointer+"/id", "id is %d, but the tokenizers library would give this token %d", a.ID, want)
			continue
		}
		switch {
		case known:
		case a.ID >= MaxTokens:
			p.refuse(pointer+"/id", "id %d is outside 0 to %d", a.ID, MaxTokens-1)
			continue
		case int(a.ID) < len(p.t.tokens) && p.t.tokens[a.ID].written != "":
			p.refuse(pointer+"/id", "id %d is also the id of another token", a.ID)
			continue
		case int(a.ID) >= len(p.t.tokens):
			p.t.tokens = append(p.t.tokens, make([]token, int(a.ID)+1-len(p.t.tokens))...)
		}
		p.t.special[a.Content] = a.ID
		p.match(pointer, a)
	}
	// A special token is left out by the text it is decoded from, which normalisation may have changed.
	names := map[string]bool{}
	for _, a := range tokens {
		names[a.Content] = names[a.Content] || a.Special
	}
	for i := range p.t.tokens {
		p.t.tokens[i].special = names[p.t.tokens[i].written]
	}
}

// match places an added token where it is found in a text.
func (p *parser) match(pointer string, a addedToken) {
	t := p.t
	form, tokens := a.Content, t.literal
	if a.Normalized {
		form, tokens = t.normalize(a.Content), t.normalized
	}
	t.tokens[a.ID].written = form
	if form == "" || len(form) > 2*MaxAddedBytes {
		p.refuse(pointer+"/content", "length %d when it is normalized is outside 1 to %d bytes", len(form), 2*MaxAddedBytes)
		return
	}
	if p.matched += len(form); p.matched > MaxMatchedBytes {
		p.refuse(pointer+"/content", "the added tokens are longer than %d bytes together", MaxMatchedBytes)
		return
	}
	if !tokens.add(form, added{id: a.ID, special: a.Special, singleWord: a.SingleWord, lstrip: a.LStrip, rstrip: a.RStrip}) {
		p.refuse(pointer+"/content", "another added token is the same when it is normalized")
	}
}
