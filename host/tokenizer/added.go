package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// added is what matching needs to know about an added token.
type added struct {
	id         int32
	special    bool
	singleWord bool // not where a letter or digit is beside it
	lstrip     bool // takes the white space before it
	rstrip     bool // takes the white space after it
}

// trie finds added tokens in a text: leftmost first, and of those that start at one place the longest.
type trie struct {
	next [256]bool // bytes that begin a token: most of a text is skipped by this
	root node
}

type node struct {
	labels   []byte // ascending
	children []*node
	token    *added // a token ends here
}

func (n *node) child(label byte) *node {
	if len(n.labels) == 1 { // long tokens are chains
		if n.labels[0] == label {
			return n.children[0]
		}
		return nil
	}
	if i, ok := slices.BinarySearch(n.labels, label); ok {
		return n.children[i]
	}
	return nil
}

// add places a token by the text that stands for it, which is not empty. It returns false when that is taken.
func (t *trie) add(content string, token added) bool {
	t.next[content[0]] = true
	n := &t.root
	for i := range len(content) {
		at, ok := slices.BinarySearch(n.labels, content[i])
		if !ok {
			n.labels = slices.Insert(n.labels, at, content[i])
			n.children = slices.Insert(n.children, at, &node{})
		}
		n = n.children[at]
	}
	if n.token != nil {
		return false
	}
	n.token = &token
	return true
}

// longest returns the longest token that begins at a place, and its end. A special one must end at most at limit.
func (t *trie) longest(text string, at, limit int) (token *added, end int) {
	n := &t.root
	for i := at; i < len(text); i++ {
		if n = n.child(text[i]); n == nil {
			break
		}
		if n.token != nil && (i < limit || !n.token.special) {
			token, end = n.token, i+1
		}
	}
	return token, end
}

// split emits the parts of a text in their order: added tokens with their id, and what lies between them with -1. Special tokens that touch
// plain text are not recognised. It follows the library in its corners: a match that an option rejects still hides what overlaps it, and a
// token whose place was taken by the white space of the one before is emitted all the same.
func (t *trie) split(text string, plain ranges, emit func(start, end int, id int32)) {
	from := 0        // what lies before was emitted
	var blank [2]int // the white space that was measured last
	for at := 0; at < len(text); {
		if !t.next[text[at]] {
			at++
			continue
		}
		for len(plain) > 0 && plain[0][1] <= at {
			plain = plain[1:]
		}
		limit, inPlain := len(text), false
		if len(plain) > 0 {
			if inPlain = plain[0][0] <= at; !inPlain {
				limit = plain[0][0]
			}
		}
		token, end := t.longest(text, at, limit)
		if token == nil {
			at++
			continue
		}
		if inPlain && token.special {
			at = min(end, plain[0][1])
			continue
		}
		start, stop := at, end
		at = end
		if token.singleWord && (wordBefore(text, start) || wordAfter(text, stop)) {
			continue
		}
		for token.lstrip && start > from {
			r, size := utf8.DecodeLastRuneInString(text[from:start])
			if !spaceSet.has(r) {
				break
			}
			start -= size
		}
		start = max(start, from)
		if token.rstrip {
			if stop < blank[0] || stop >= blank[1] {
				blank = [2]int{stop, stop + spaceLength(text[stop:])}
			}
			stop = max(stop, blank[1])
		}
		if from < start {
			emit(from, start, -1)
		}
		emit(start, stop, token.id)
		from = stop
	}
	if from < len(text) {
		emit(from, len(text), -1)
	}
}

// spaceLength is the length of the white space that a text begins with.
func spaceLength(text string) int {
	for i, r := range text {
		if !spaceSet.has(r) {
			return i
		}
	}
	return len(text)
}

func wordBefore(text string, at int) bool {
	r, size := utf8.DecodeLastRuneInString(text[:at])
	return size > 0 && wordSet.has(r)
}

func wordAfter(text string, at int) bool {
	r, size := utf8.DecodeRuneInString(text[at:])
	return size > 0 && wordSet.has(r)
}
