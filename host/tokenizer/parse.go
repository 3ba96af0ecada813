package tokenizer

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/fault"
)

// Limits of a tokenizer.json. The largest ones in use have 2^18 tokens in 34 MB.
const (
	MaxFileBytes    = 64 << 20
	MaxTokens       = 1 << 20 // entries, rules, and one more than the highest id
	MaxTokenBytes   = 4096    // of a vocabulary entry
	MaxAddedBytes   = 256     // of an added token: it bounds the work of finding them
	MaxMatchedBytes = 1 << 20 // of all added tokens together
	maxTemplate     = 1024    // tokens around a text
	maxFaults       = 32      // reported of one file; the rest is counted
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
	p := &parser{name: name, growth: 1, spelling: 1, prefixes: 1, t: &Tokenizer{literal: &trie{}, normalized: &trie{}, special: map[string]int32{}}}
	p.absent("/truncation", f.Truncation)
	p.absent("/padding", f.Padding)
	p.normalizer("/normalizer", f.Normalizer, 0)
	p.preTokenizer("/pre_tokenizer", f.PreTokenizer, 0)
	p.decoder("/decoder", f.Decoder, 0)
	p.model(f.Model)
	p.added(f.AddedTokens)
	p.t.spell()
	p.postProcessor("/post_processor", f.PostProcessor, 0)
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
	name       string
	t          *Tokenizer
	entries    int              // of the vocabulary
	ids        map[string]int32 // of the vocabulary, as written
	metaspaces int              // pre-tokenizers that write spaces as another character
	cuts       bool             // whether the pre-tokenizers so far may make pieces of a text
	prefixes   int              // how many times as long what they put in front of pieces makes it, at most
	growth     int              // how many times as long normalizers make a text, at most
	spelling   int              // how many times as long decoders make a token
	matched    int              // bytes of added tokens so far
	fused      bool             // the decoders so far make one token of all
	faults     fault.List
	dropped    int
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

// pointerTo appends one name to a JSON pointer.
func pointerTo(parent, name string) string {
	return string(jsontext.Pointer(parent).AppendToken(name))
}
