package wordnet

import (
	"slices"
	"testing"
)

func TestSynsets(t *testing.T) {
	tests := []struct {
		name, a, b string
		share      bool
	}{
		{"synonyms", "cheap", "inexpensive", true},
		{"spellings", "centre", "center", true},
		{"a regular plural", "pubs", "pub", true},
		{"a plural in -ies", "families", "family", true},
		{"a past tense in -ed", "rated", "rate", true},
		{"an irregular plural", "children", "child", true},
		{"an irregular past tense", "found", "find", true},
		{"a comparative", "lower", "low", true},
		{"the first rule that leads to a word ends the search", "rated", "rat", false},
		{"an irregular form has no regular base", "is", "i", false},
		{"a collocation's irregular form hides the regular one", "gets", "get", false},
		{"unrelated", "pub", "family", false},
		{"no word", "qqq", "qqqs", false},
		{"empty", "", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := Synsets(test.a), Synsets(test.b)
			if share := slices.ContainsFunc(a, func(s Synset) bool { return slices.Contains(b, s) }); share != test.share {
				t.Errorf("%q and %q share a synset: %v, want %v", test.a, test.b, share, test.share)
			}
		})
	}
}

// TestTable checks what line relies on: lines in order, each with something after a tab.
func TestTable(t *testing.T) {
	table := load()
	last := ""
	for _, start := range table.starts {
		end := int(start)
		for table.text[end] != '\t' {
			end++
		}
		if word := table.text[start:end]; word <= last {
			t.Fatalf("%q comes after %q", word, last)
		} else {
			last = word
		}
		if synsets, bases := table.line(last); len(synsets)+len(bases) == 0 || !slices.IsSorted(synsets) {
			t.Fatalf("%q: %v, %v", last, synsets, bases)
		}
	}
	if len(table.starts) < 80_000 {
		t.Errorf("%d words", len(table.starts))
	}
}

func FuzzSynsets(f *testing.F) {
	for _, seed := range []string{"", "s", "ss", "men", "\t", "zzzz\xff", "'s", "price\t1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if synsets := Synsets(word); !slices.IsSorted(synsets) {
			t.Errorf("%v", synsets)
		}
	})
}

func BenchmarkSynsets(b *testing.B) {
	for b.Loop() {
		Synsets("families")
	}
}
