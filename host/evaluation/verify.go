package evaluation

import (
	"fmt"

	"github.com/tenon-ml/tenon/host/fault"
)

// maxPlaces bounds how many unverified characters and words are listed: a text in another script would fill the screen.
const maxPlaces = 10

// unverified lists the characters, each once a line, for which nobody compared TokenizePTB with the tokenizer it stands in for, and for
// METEOR also the words that it was not checked on.
func (c *Corpus) unverified(forMeteor bool) fault.List {
	var problems fault.List
	check := func(file string, line Line) {
		found := unverifiedCharacters(file, line)
		if len(found) == 0 && forMeteor {
			found = unverifiedWords(file, line)
		}
		problems = append(problems, found...)
	}
	for _, s := range c.Segments {
		check(c.PredictionFile, s.Prediction)
		for _, r := range s.References {
			check(c.ReferenceFile, r)
		}
	}
	if more := len(problems) - maxPlaces; more > 0 {
		problems = problems[:maxPlaces]
		last := problems[maxPlaces-1]
		last.Cause = fmt.Sprintf("%s, and there are %d more such places in both files", last.Cause, more)
	}
	return problems
}

func unverifiedCharacters(file string, line Line) fault.List {
	var problems fault.List
	seen := map[rune]bool{}
	column := 0
	for _, r := range line.Text {
		column++
		if Verified(r) || seen[r] {
			continue
		}
		seen[r] = true
		problems.Add(fault.New(fault.UsageFlag, "line %d, character %d: ROUGE-L, CIDEr and METEOR ex_st_sy are unverified for %q (%U)",
			line.Number, column, r, r).In(file).Fix("replace the character, or ask for --metrics bleu,nist alone"))
	}
	return problems
}

// unverifiedWords lists what METEOR was not checked on in a line: too many words, tokens that its normaliser may split in another way, and
// frequent words that may be function words.
func unverifiedWords(file string, line Line) fault.List {
	var problems fault.List
	add := func(format string, arguments ...any) {
		problems.Add(fault.New(fault.UsageFlag, "line %d: %s", line.Number, fmt.Sprintf(format, arguments...)).
			In(file).Fix("leave %s out of --metrics", MetricMETEOR))
	}
	tokens := TokenizePTB(line.Text)
	words := normalize(tokens)
	if len(words) > maxAligned {
		add("METEOR ex_st_sy aligns at most %d words, and these are %d", maxAligned, len(words))
		return problems
	}
	seen := map[string]bool{}
	for _, t := range tokens {
		if !normalizable(t) && !seen[t] {
			add("METEOR ex_st_sy is unverified for the token %q", t)
		}
		seen[t] = true
	}
	clear(seen)
	for _, w := range words {
		if unclassified[w] && !seen[w] {
			add("METEOR ex_st_sy is unverified for the word %q: the text it was verified on does not have it", w)
		}
		seen[w] = true
	}
	return problems
}
