// Package wordnet says which synsets of WordNet 3.0, Princeton University's dictionary of sets of synonyms, a single English word belongs
// to. The table is embedded; LICENSE beside this file holds for it.
package wordnet

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

//go:generate go run ./generate /usr/share/wordnet wordnet.zst

//go:embed wordnet.zst
var compressed []byte

// Synset is the number of a synset. Numbers mean nothing outside this package's table.
type Synset int

// Synsets lists the synsets of a lower-case word and of the words it is an inflected form of, whatever their part of speech, ascending and
// each once. A word that WordNet does not have is in none.
func Synsets(word string) []Synset {
	t := load()
	synsets, irregular := t.line(word)
	bases := irregular
	if len(bases) == 0 {
		bases = t.bases(word)
	}
	for _, base := range bases {
		more, _ := t.line(base)
		synsets = append(synsets, more...)
	}
	slices.Sort(synsets)
	return slices.Compact(synsets)
}

// rules are what WordNet calls rules of detachment: for nouns, verbs and adjectives, endings and what stands in their place in the base
// form.
var rules = [][][2]string{
	{{"s", ""}, {"ses", "s"}, {"xes", "x"}, {"zes", "z"}, {"ches", "ch"}, {"shes", "sh"}, {"men", "man"}, {"ies", "y"}},
	{{"s", ""}, {"ies", "y"}, {"es", "e"}, {"es", ""}, {"ed", "e"}, {"ed", ""}, {"ing", "e"}, {"ing", ""}},
	{{"er", ""}, {"est", ""}, {"er", "e"}, {"est", "e"}},
}

// bases lists what a regular form may be inflected from: for each part of speech what the first rule gives that leads to a word of the
// table, of whatever part of speech.
func (t table) bases(word string) []string {
	var bases []string
	for _, endings := range rules {
		for _, e := range endings {
			stem, ok := strings.CutSuffix(word, e[0])
			if !ok {
				continue
			}
			if synsets, _ := t.line(stem + e[1]); len(synsets) > 0 {
				bases = append(bases, stem+e[1])
				break
			}
		}
	}
	return bases
}

// table is the text that the program generate describes, and where its lines begin.
type table struct {
	text   string
	starts []int32
}

var load = sync.OnceValue(func() table {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(err) // no option is wrong
	}
	defer decoder.Close()
	text, err := decoder.DecodeAll(compressed, nil)
	if err != nil {
		panic(err) // the embedded bytes are not what was generated
	}
	t := table{text: string(text)}
	start := 0
	for line := range strings.Lines(t.text) {
		t.starts = append(t.starts, int32(start))
		start += len(line)
	}
	return t
})

// line is what the table says of a word: its synsets, and the base forms that an exception list gives for it.
func (t table) line(word string) (synsets []Synset, irregular []string) {
	i, found := slices.BinarySearchFunc(t.starts, word, func(start int32, word string) int {
		lemma, _, _ := strings.Cut(t.text[start:], "\t")
		return strings.Compare(lemma, word)
	})
	if !found {
		return nil, nil
	}
	line, _, _ := strings.Cut(t.text[t.starts[i]:], "\n")
	for field := range strings.FieldsSeq(line[len(word)+1:]) {
		if base, ok := strings.CutPrefix(field, "="); ok {
			irregular = append(irregular, base)
		} else if n, err := strconv.Atoi(field); err != nil {
			panic(err) // the embedded text is not what was generated
		} else {
			synsets = append(synsets, Synset(n))
		}
	}
	return synsets, irregular
}
