package tokenizer

// trie finds added tokens in a text: leftmost first, and of those that start at one place the longest.
type trie struct {
	next [256]bool // bytes that begin a token: most of a text is skipped by this
	root node
}

type node struct {
	children map[byte]*node
	id       int32
	end      bool // a token ends here
}

func (t *trie) add(content string, id int32) {
	t.next[content[0]] = true
	n := &t.root
	for i := range len(content) {
		child := n.children[content[i]]
		if child == nil {
			child = &node{}
			if n.children == nil {
				n.children = map[byte]*node{}
			}
			n.children[content[i]] = child
		}
		n = child
	}
	n.id, n.end = id, true
}

// cut returns what precedes the first added token of text, its id, and what follows it; found is false when there is none.
func (t *trie) cut(text string) (before string, id int32, after string, found bool) {
	for i := range len(text) {
		if !t.next[text[i]] {
			continue
		}
		length := 0
		for n, j := &t.root, i; n != nil && j < len(text); j++ {
			if n = n.children[text[j]]; n != nil && n.end {
				length, id = j+1-i, n.id
			}
		}
		if length > 0 {
			return text[:i], id, text[i+length:], true
		}
	}
	return text, 0, "", false
}
