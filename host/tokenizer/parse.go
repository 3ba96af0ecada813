package tokenizer

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// Limits of a tokenizer.json. The largest ones in use have 2^18 tokens in 34 MB.
const (
	MaxFileBytes  = 64 << 20
	MaxTokens     = 1 << 20 // entries, rules, and one more than the highest id
	MaxTokenBytes = 4096    // of a vocabulary entry
	MaxAddedBytes = 256     // of an added token: it bounds the work of finding them
	maxFaults     = 32      // reported of one file; the rest is counted
)

// Parse reads the bytes of a tokenizer.json; name is for errors. The error is a fault.List with everything wrong in the file, as far as it
// can be read.
func Parse(name string, data []byte) (*Tokenizer, error) {
	if len(data) > MaxFileBytes {
		return nil, fault.List{fault.New(fault.TKConfig, "longer than %d bytes", MaxFileBytes).In(name)}
	}
	var f file
	if err := read(name, "", data, &f); err != nil {
		return nil, fault.List{err}
	}
	p := &parser{name: name, t: &Tokenizer{literal: &trie{}, normalized: &trie{}, special: map[string]int32{}}}
	p.absent("/truncation", f.Truncation)
	p.absent("/padding", f.Padding)
	p.absent("/normalizer", f.Normalizer)
	p.preTokenizer(f.PreTokenizer)
	if kind := kindOf(f.Decoder); kind != "ByteLevel" {
		p.refuse("/decoder", "decoder %q is not supported: only ByteLevel is", kind)
	} else {
		p.read("/decoder", f.Decoder, &byteLevel{})
	}
	p.model(f.Model)
	p.added(f.AddedTokens)
	p.postProcessor(f.PostProcessor)
	if p.dropped > 0 {
		p.faults.Add(fault.New(fault.TKConfig, "%d more faults", p.dropped).In(name))
	}
	if len(p.faults) > 0 {
		return nil, p.faults.Err()
	}
	return p.t, nil
}

// parser collects what is wrong while it fills a Tokenizer.
type parser struct {
	name    string
	t       *Tokenizer
	entries int              // of the vocabulary
	ids     map[string]int32 // of the vocabulary, as written
	faults  fault.List
	dropped int
}

func (p *parser) refuse(pointer, cause string, args ...any) {
	p.add(fault.New(fault.TKConfig, cause, args...).In(p.name).At(pointer))
}

func (p *parser) add(e *fault.Error) {
	if len(p.faults) < maxFaults {
		p.faults.Add(e)
	} else {
		p.dropped++
	}
}

func (p *parser) read(pointer string, value jsontext.Value, out any) bool {
	err := read(p.name, pointer, value, out)
	if err != nil {
		p.add(err)
	}
	return err == nil
}

// absent refuses a part that must be null.
func (p *parser) absent(pointer string, value jsontext.Value) {
	if kind := kindOf(value); kind != "null" {
		what := strings.TrimPrefix(pointer, "/")
		if kind != "" {
			what += fmt.Sprintf(" %q", kind)
		}
		p.refuse(pointer, "%s is not supported: it must be null", what)
	}
}

func (p *parser) preTokenizer(value jsontext.Value) {
	if kind := kindOf(value); kind != "ByteLevel" {
		p.refuse("/pre_tokenizer", "pre-tokenizer %q is not supported: only ByteLevel is", kind)
		return
	}
	var b byteLevel
	if !p.read("/pre_tokenizer", value, &b) {
		return
	}
	if b.AddPrefixSpace == nil {
		p.refuse("/pre_tokenizer/add_prefix_space", "missing")
		return
	}
	p.t.prefixSpace = *b.AddPrefixSpace
	p.t.splitWords = b.UseRegex == nil || *b.UseRegex
}

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
	if m.ByteFallback {
		p.refuse("/model/byte_fallback", "byte fallback is not supported: a byte-level vocabulary has a token for each byte")
	}
	p.vocab(m.Vocab, m.IgnoreMerges)
	p.merges(m.Merges)
}

func (p *parser) vocab(v vocab, ignoreMerges bool) {
	t := p.t
	p.entries, p.ids = len(v), make(map[string]int32, len(v))
	highest := int32(-1)
	for _, e := range v {
		if e.id >= 0 && e.id < MaxTokens {
			highest = max(highest, e.id)
		}
	}
	t.tokens = make([]token, highest+1)
	for i := range t.first {
		t.first[i] = -1
	}
	if ignoreMerges {
		t.whole = make(map[string]int32, len(v))
	}
	for _, e := range v {
		pointer := pointerTo("/model/vocab", e.content)
		switch {
		case e.content == "":
			p.refuse(pointer, "an empty token")
		case len(e.content) > MaxTokenBytes:
			p.refuse("/model/vocab", "token %.64q… is longer than %d bytes", e.content, MaxTokenBytes)
		case e.id < 0 || e.id >= MaxTokens:
			p.refuse(pointer, "id %d is outside 0 to %d", e.id, MaxTokens-1)
		case t.tokens[e.id].bytes != "":
			p.refuse(pointer, "id %d is also the id of another token", e.id)
		default:
			p.ids[e.content] = e.id
			bytes, ok := fromAlphabet(e.content)
			if !ok {
				t.tokens[e.id].bytes = e.content // no text is encoded to it
				continue
			}
			t.tokens[e.id].bytes = bytes
			if len(bytes) == 1 {
				t.first[bytes[0]] = e.id
			}
			if ignoreMerges {
				t.whole[bytes] = e.id
			}
		}
	}
	var lost []string
	for b, id := range t.first {
		if id < 0 && !neverInUTF8(b) {
			lost = append(lost, fmt.Sprintf("0x%02X", b))
		}
	}
	if len(lost) > 0 {
		p.refuse("/model/vocab", "no token for %d of the bytes that UTF-8 uses, first %s: text that holds them would lose them", len(lost), lost[0])
	}
}

func (p *parser) merges(rules merges) {
	p.t.merges = make(map[uint64]merge, len(rules))
	for rank, rule := range rules {
		pointer := "/model/merges/" + strconv.Itoa(rank)
		left, okLeft := p.ids[rule[0]]
		right, okRight := p.ids[rule[1]]
		id, ok := p.ids[rule[0]+rule[1]]
		if !okLeft || !okRight || !ok {
			p.refuse(pointer, "%.64q, %.64q or both together are not in the vocabulary", rule[0], rule[1])
			continue
		}
		key := pair(left, right)
		if _, ok := p.t.merges[key]; ok {
			p.refuse(pointer, "the same rule twice")
			continue
		}
		p.t.merges[key] = merge{rank: int32(rank), id: id}
	}
}

// added places the added tokens. One that the vocabulary does not hold gets the next free id in the library, whatever the file says.
func (p *parser) added(tokens []addedToken) {
	next := int32(min(p.entries, math.MaxInt32))
	for i, a := range tokens {
		pointer := "/added_tokens/" + strconv.Itoa(i)
		for _, option := range []struct {
			name string
			on   bool
		}{{"single_word", a.SingleWord}, {"lstrip", a.LStrip}, {"rstrip", a.RStrip}} {
			if option.on {
				p.refuse(pointer+"/"+option.name, "%s is not supported: it must be false", option.name)
			}
		}
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
		case int(a.ID) < len(p.t.tokens) && p.t.tokens[a.ID].bytes != "":
			p.refuse(pointer+"/id", "id %d is also the id of another token", a.ID)
			continue
		case int(a.ID) >= len(p.t.tokens):
			p.t.tokens = append(p.t.tokens, make([]token, int(a.ID)+1-len(p.t.tokens))...)
		}
		p.t.tokens[a.ID] = token{bytes: a.Content, special: a.Special}
		p.t.special[a.Content] = a.ID
		if a.Normalized {
			p.t.normalized.add(a.Content, a.ID)
		} else {
			p.t.literal.add(a.Content, a.ID)
		}
	}
}

// pointerTo appends one name to a JSON pointer.
func pointerTo(parent, name string) string {
	return string(jsontext.Pointer(parent).AppendToken(name))
}
