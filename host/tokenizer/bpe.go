package tokenizer

import "unicode/utf8"

// bpe is the model: what it starts from, and the rules by which it merges.
type bpe struct {
	byteLevel   bool
	first       [256]int32       // byteLevel: id of each byte, -1 for those that UTF-8 never holds and the vocabulary leaves out
	runes       map[rune]int32   // else: id of each code point
	fallback    [256]int32       // and of the bytes of one that has none, -1 where there is no such token
	unknown     int32            // and of one whose bytes have none either; -1: none
	fuseUnknown bool             // a row of them is one token
	merges      map[uint64]int32 // rank of a rule by pair(left, right): two neighbours become one, the lowest rank first
	made        []int32          // what a rule makes of them, by rank
	joins       map[uint64]bool  // pairs of code points that some rule brings together: between all others a word can be cut
	whole       map[string]int32 // ignore_merges: words that are tokens already; else nil
}

// pair is two ids, or two code points, as a key.
func pair(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// symbol is one node of the doubly linked list a word is while it is merged.
type symbol struct {
	id         int32 // -1: merged into its left neighbour
	prev, next int32 // -1: none
}

// candidate is a possible merge of the symbol at a place with its right neighbour: rank in the upper, place in the lower half, so that the
// least is the lowest rank, and the leftmost of those. It may be out of date when it is taken from the queue.
type candidate uint64

func candidateOf(rank, pos int32) candidate { return candidate(pair(rank, pos)) }

func (c candidate) rank() int32 { return int32(c >> 32) }
func (c candidate) pos() int32  { return int32(c & (1<<32 - 1)) }

// merger holds the working memory of one Encode call.
type merger struct {
	symbols []symbol
	queue   []candidate // heap of four children each
}

// word appends the tokens of one piece of text, which is not empty.
func (m *merger) word(t *bpe, word string, ids []int32) []int32 {
	if id, ok := t.whole[word]; ok {
		return append(ids, id)
	}
	m.symbols = m.symbols[:0]
	if t.byteLevel {
		for i := range len(word) {
			m.add(t.first[word[i]])
		}
		return m.merge(t, ids)
	}
	unknown := false // the token for what is unknown is due
	last := rune(-1) // the code point of the last symbol, if that is a code point
	for _, r := range word {
		if id, ok := t.runes[r]; ok {
			if unknown {
				m.add(t.unknown)
				unknown, last = false, -1
			}
			if last >= 0 && !t.joins[pair(last, r)] {
				ids = m.merge(t, ids)
			}
			m.add(id)
			last = r
			continue
		}
		last = -1
		if m.addBytes(t, r) || t.unknown < 0 {
			continue // what is still due comes after the bytes, as in the library
		}
		if unknown && !t.fuseUnknown {
			m.add(t.unknown)
		}
		unknown = true
	}
	if unknown {
		m.add(t.unknown)
	}
	return m.merge(t, ids)
}

// addBytes appends the tokens of a code point's bytes, and reports false when the vocabulary lacks one.
func (m *merger) addBytes(t *bpe, r rune) bool {
	var utf [utf8.UTFMax]byte
	bytes := utf[:utf8.EncodeRune(utf[:], r)]
	for _, b := range bytes {
		if t.fallback[b] < 0 {
			return false
		}
	}
	for _, b := range bytes {
		m.add(t.fallback[b])
	}
	return true
}

func (m *merger) add(id int32) {
	n := int32(len(m.symbols))
	m.symbols = append(m.symbols, symbol{id: id, prev: n - 1, next: n + 1})
}

// merge merges the symbols by the rules, appends what is left, and empties the list. Each merge is found in O(log n), so a word of a
// megabyte costs n log n.
func (m *merger) merge(t *bpe, ids []int32) []int32 {
	if len(m.symbols) == 0 {
		return ids
	}
	m.queue = m.queue[:0]
	m.symbols[len(m.symbols)-1].next = -1
	for i := range len(m.symbols) - 1 {
		m.propose(t, int32(i))
	}
	for len(m.queue) > 0 {
		c := m.pop()
		pos, id := c.pos(), t.made[c.rank()]
		left := &m.symbols[pos]
		if left.id < 0 || left.next < 0 {
			continue
		}
		right := &m.symbols[left.next]
		// A neighbour may have changed since the candidate was queued. It still holds if the pair makes the same token.
		if rank, ok := t.merges[pair(left.id, right.id)]; !ok || t.made[rank] != id {
			continue
		}
		left.id, right.id = id, -1
		left.next = right.next
		if right.next >= 0 {
			m.symbols[right.next].prev = pos
		}
		if left.prev >= 0 {
			m.propose(t, left.prev)
		}
		m.propose(t, pos)
	}
	for i := int32(0); i >= 0; i = m.symbols[i].next {
		ids = append(ids, m.symbols[i].id)
	}
	m.symbols = m.symbols[:0]
	return ids
}

// propose queues the merge of the symbol at pos with its right neighbour, if there is a rule for it.
func (m *merger) propose(t *bpe, pos int32) {
	next := m.symbols[pos].next
	if next < 0 {
		return
	}
	rank, ok := t.merges[pair(m.symbols[pos].id, m.symbols[next].id)]
	if !ok {
		return
	}
	c := candidateOf(rank, pos)
	m.queue = append(m.queue, c)
	i := len(m.queue) - 1
	for i > 0 && c < m.queue[(i-1)/4] {
		m.queue[i] = m.queue[(i-1)/4]
		i = (i - 1) / 4
	}
	m.queue[i] = c
}

// pop takes the least candidate.
func (m *merger) pop() candidate {
	top, last := m.queue[0], m.queue[len(m.queue)-1]
	m.queue = m.queue[:len(m.queue)-1]
	n := len(m.queue)
	if n == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= n {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, n); child++ {
			if m.queue[child] < m.queue[least] {
				least = child
			}
		}
		if last <= m.queue[least] {
			break
		}
		m.queue[i] = m.queue[least]
		i = least
	}
	m.queue[i] = last
	return top
}
