// Package tokenizer turns text into token ids and back with the byte-level BPE of a Hugging Face tokenizer.json. It gives the ids that the
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

// FileName is the file of a model's directory that Open reads. tokenizer_config.json does not change ids for this kind of tokenizer.
const FileName = "tokenizer.json"

// Tokenizer is one immutable vocabulary with its merges. Its methods may be called from many goroutines at once.
type Tokenizer struct {
	tokens        []token          // by id; ids nobody uses have no content
	first         [256]int32       // id of each single byte, -1 for the bytes UTF-8 never holds and the vocabulary leaves out
	merges        map[uint64]merge // by pair(left, right)
	whole         map[string]int32 // ignore_merges: words that are tokens already, by their bytes; else nil
	literal       *trie            // added tokens cut from the text first
	normalized    *trie            // added tokens cut from what is left of it
	special       map[string]int32 // added tokens by content
	prefixSpace   bool
	splitWords    bool
	before, after []int32 // what the post-processor's template puts around a text
}

// token is one entry of the vocabulary.
type token struct {
	bytes   string // what it stands for; empty: no such id
	special bool   // not part of a text for people
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

// Token returns the bytes a token stands for, which need not be whole UTF-8, and false for an id that has none.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.tokens) || t.tokens[id].bytes == "" {
		return "", false
	}
	return t.tokens[id].bytes, true
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
