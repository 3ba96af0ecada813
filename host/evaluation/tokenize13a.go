package evaluation

import (
	"regexp"
	"strings"
)

// The steps of the v13a tokenizer that split punctuation off, in order.
var (
	// symbols are every ASCII sign but ' , - and the full stop; the digits and letters between the ranges stay.
	symbols    = regexp.MustCompile("([{-~\\[-` -&(-+:-@/])")
	pointAfter = regexp.MustCompile(`([^0-9])([.,])`)
	pointAhead = regexp.MustCompile(`([.,])([^0-9])`)
	dashAfter  = regexp.MustCompile(`([0-9])(-)`)
)

// normalize13a joins lines and decodes the entities of the scripts' SGML. The order matters: &amp;lt; is decoded twice.
var normalize13a = [][2]string{
	{"<skipped>", ""}, {"-\n", ""}, {"\n", " "}, {"&quot;", `"`}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"},
}

// Tokenize13a splits a segment as NIST's mteval v13a does, case kept. Full stops and commas stay inside numbers; apostrophes stay, and
// hyphens are split off only after a digit. A segment without words has one token, the empty one: that is what the scripts count. The
// replacements do not overlap, so of two adjacent points the second can stay with the digit after it.
func Tokenize13a(segment string) []string {
	for _, step := range normalize13a {
		segment = strings.ReplaceAll(segment, step[0], step[1])
	}
	segment = " " + segment + " "
	segment = symbols.ReplaceAllString(segment, " $1 ")
	segment = pointAfter.ReplaceAllString(segment, "$1 $2 ")
	segment = pointAhead.ReplaceAllString(segment, " $1 $2")
	segment = dashAfter.ReplaceAllString(segment, "$1 $2 ")
	words := strings.FieldsFunc(segment, space)
	if len(words) == 0 {
		return []string{""}
	}
	return words
}
