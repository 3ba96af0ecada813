// Command generate makes the table that package wordnet embeds from the dict folder of WordNet 3.0:
//
//	go run ./host/evaluation/wordnet/generate FOLDER host/evaluation/wordnet/wordnet.zst
//
// FOLDER holds index.noun, noun.exc and their like; Debian's package wordnet-base installs them in /usr/share/wordnet. The same folder
// always gives the same bytes.
package main

import (
	"bytes"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// parts are the parts of speech, as WordNet's files name them.
var parts = []string{"adj", "noun", "adv", "verb"}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: generate FOLDER FILE")
	}
	table, err := generate(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[2], table, 0o644); err != nil {
		log.Fatal(err)
	}
}

// generate reads a dict folder and returns the compressed table. Its text has one line a word, in the order of the words' bytes: the word,
// a tab, the numbers of its synsets, and = before each word that it is an irregular form of.
func generate(folder string) ([]byte, error) {
	t := table{words: map[string]*word{}}
	for _, part := range parts {
		if err := lines(filepath.Join(folder, "index."+part), func(line string) error { return t.index(part, line) }); err != nil {
			return nil, err
		}
		if err := lines(filepath.Join(folder, part+".exc"), t.exception); err != nil {
			return nil, err
		}
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer encoder.Close()
	return encoder.EncodeAll(t.text(), nil), nil
}

// table is what is read so far.
type table struct{ words map[string]*word }

// word has its synsets, each by part of speech and offset, and the words that it is an irregular form of.
type word struct{ synsets, bases []string }

func (t *table) word(name string) *word {
	if t.words[name] == nil {
		t.words[name] = new(word)
	}
	return t.words[name]
}

// index reads a line of an index file: lemma, part of speech, number of synsets, and more, with that many offsets at its end. The notice
// at the file's top is indented. Collocations are left out: no token has a space or a hyphen.
func (t *table) index(part, line string) error {
	fields := strings.Fields(line)
	if strings.HasPrefix(line, " ") {
		return nil
	}
	if len(fields) < 7 {
		return fmt.Errorf("%q is no line of an index", line)
	}
	if strings.ContainsAny(fields[0], "_-") {
		return nil
	}
	count, err := strconv.Atoi(fields[2])
	if err != nil || count < 1 || count > len(fields)-6 {
		return fmt.Errorf("%q has no number of synsets", line)
	}
	w := t.word(fields[0])
	for _, offset := range fields[len(fields)-count:] {
		w.synsets = append(w.synsets, part+offset)
	}
	return nil
}

// exception reads a line of an exception list: an irregular form and its base forms. The entry of a collocation, as gets_lost, stands under
// its first word, with a base form that is no word of the table. That is inferred: METEOR's scores of E2E text come out if gets is no form
// of get, and do not if it is.
func (t *table) exception(line string) error {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return fmt.Errorf("%q has no base form", line)
	}
	form, _, _ := strings.Cut(fields[0], "_")
	if strings.Contains(form, "-") {
		return nil
	}
	for _, base := range fields[1:] {
		if w := t.word(form); !slices.Contains(w.bases, base) {
			w.bases = append(w.bases, base)
		}
	}
	return nil
}

// text writes the table. Synsets are numbered in the order in which they appear, which makes the text small.
func (t *table) text() []byte {
	var text bytes.Buffer
	numbers := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(t.words)) {
		w := t.words[name]
		var own []int
		for _, s := range w.synsets {
			if _, known := numbers[s]; !known {
				numbers[s] = len(numbers)
			}
			own = append(own, numbers[s])
		}
		slices.Sort(own)
		separator := "\t"
		text.WriteString(name)
		for _, n := range own {
			fmt.Fprintf(&text, "%s%d", separator, n)
			separator = " "
		}
		for _, base := range w.bases {
			fmt.Fprintf(&text, "%s=%s", separator, base)
			separator = " "
		}
		text.WriteByte('\n')
	}
	return text.Bytes()
}

func lines(path string, each func(string) error) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		if err := each(line); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
