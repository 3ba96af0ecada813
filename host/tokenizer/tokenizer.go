// Package tokenizer turns text into token ids and back with the BPE of a Hugging Face tokenizer.json: byte-level as in GPT-2, Llama 3 and
// Qwen, or of characters as in the files made from SentencePiece models, Llama 2's and Mistral's. It gives the ids and texts that the
// tokenizers library gives; what it cannot give it refuses by name when the file is read, so a Tokenizer that opened never mis-tokenises.
package tokenizer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tenon-ml/tenon/host/fault"
)

// FileName is the file of a model's directory that Open reads. What a tokenizer_config.json beside it says is not read, as the tokenizers
// library does not: it is for the program that uses the tokenizer.
const FileName = "tokenizer.json"

// Tokenizer is one immutable vocabulary with its rules. Its methods may be called from many goroutines at once.
type Tokenizer struct {
	tokens        []token // by id; ids nobody uses have no content
	literal       *trie   // added tokens cut from the text first
	normalizers   []normalizer
	normalized    *trie   // added tokens cut from what is left of it, normalized
	stages        []stage // of pre-tokenization
	model         bpe
	decoders      []decoder        // one at least
	special       map[string]int32 // added tokens by content
	before, after []int32          // what the post-processor's template puts around a text
}

// token is one entry of the vocabulary.
type token struct {
	written string // what the decoder gets; empty: no such id
	text    string // what it stands for inside a text
	special bool   // not part of a text for people
}

// spell works out what each token stands for.
func (t *Tokenizer) spell() {
	for i := range t.tokens {
		text := t.tokens[i].written
		for _, d := range t.decoders {
			text = d.alone(text)
		}
		t.tokens[i].text = text
	}
}

// Open reads the tokenizer.json of a model's directory.
func Open(dir string) (*Tokenizer, error) {
	name := filepath.Join(dir, FileName)
	// O_NONBLOCK: a FIFO in the file's place must not make the open wait for a writer.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.IONotFound, "no such file").In(name).Wrap(err).
			Fix("give a model directory that holds %s", FileName)
	case err != nil:
		return nil, fault.New(fault.IORead, "cannot be opened").In(name).Wrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.New(fault.IORead, "cannot be read").In(name).Wrap(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.IOFileType, "not a regular file but %s", info.Mode().Type()).In(name)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "cannot be read").In(name).Wrap(err)
	}
	return Parse(name, data)
}

// Size is one more than the highest id.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// Token returns the bytes a token stands for inside a text, which need not be whole UTF-8, and false for an id that has none. A word's
// space is part of them, also where Decode takes it off the first word.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.tokens) || t.tokens[id].written == "" {
		return "", false
	}
	return t.tokens[id].text, true
}

// Special returns the id of an added token such as "</s>" by its content.
func (t *Tokenizer) Special(content string) (int32, bool) {
	id, ok := t.special[content]
	return id, ok
}

// IsSpecial reports whether an id is a token that Decode leaves out when it is told to skip special tokens.
func (t *Tokenizer) IsSpecial(id int32) bool {
	return id >= 0 && int(id) < len(t.tokens) && t.tokens[id].special
}

// Template returns how many ids Encode puts before and after a text's own when it adds special tokens.
func (t *Tokenizer) Template() (before, after int) { return len(t.before), len(t.after) }
