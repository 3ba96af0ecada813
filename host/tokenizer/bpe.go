package tokenizer

// merge is one rule: two neighbours become the token id. The lowest rank is merged first.
type merge struct {
	rank, id int32
}

// pair is the key of a rule.
func pair(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// symbol is one node of the doubly linked list a word is while it is merged.
type symbol struct {
	id         int32 // -1: merged into its left neighbour
	prev, next int   // -1: none
}

// candidate is a possible merge of the symbol at pos with its right neighbour. It may be out of date when it is taken from the queue.
type candidate struct {
	rank, id int32
	pos      int
}

func (c candidate) less(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.pos < d.pos
}

// merger holds the working memory of one Encode call.
type merger struct {
	symbols []symbol
	queue   []candidate // binary heap
}

// word appends the tokens of one word, given as bytes. Each merge is found in O(log n), so a word of a megabyte costs n log n.
func (m *merger) word(t *Tokenizer, word string, ids []int32) []int32 {
	if id, ok := t.whole[word]; ok {
		return append(ids, id)
	}
	m.symbols, m.queue = m.symbols[:0], m.queue[:0]
	for i := range len(word) {
		m.symbols = append(m.symbols, symbol{id: t.first[word[i]], prev: i - 1, next: i + 1})
	}
	m.symbols[len(m.symbols)-1].next = -1
	for i := range len(m.symbols) - 1 {
		m.propose(t, i)
	}
	for len(m.queue) > 0 {
		c := m.pop()
		left := &m.symbols[c.pos]
		if left.id < 0 || left.next < 0 {
			continue
		}
		right := &m.symbols[left.next]
		// A neighbour may have changed since the candidate was queued. It still holds if the pair makes the same token.
		if rule, ok := t.merges[pair(left.id, right.id)]; !ok || rule.id != c.id {
			continue
		}
		left.id, right.id = c.id, -1
		left.next = right.next
		if right.next >= 0 {
			m.symbols[right.next].prev = c.pos
		}
		if left.prev >= 0 {
			m.propose(t, left.prev)
		}
		m.propose(t, c.pos)
	}
	for i := 0; i >= 0; i = m.symbols[i].next {
		ids = append(ids, m.symbols[i].id)
	}
	return ids
}

// propose queues the merge of the symbol at pos with its right neighbour, if there is a rule for it.
func (m *merger) propose(t *Tokenizer, pos int) {
	next := m.symbols[pos].next
	if next < 0 {
		return
	}
	rule, ok := t.merges[pair(m.symbols[pos].id, m.symbols[next].id)]
	if !ok {
		return
	}
	m.queue = append(m.queue, candidate{rank: rule.rank, id: rule.id, pos: pos})
	for i := len(m.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if !m.queue[i].less(m.queue[parent]) {
			break
		}
		m.queue[i], m.queue[parent] = m.queue[parent], m.queue[i]
		i = parent
	}
}

// pop takes the candidate of lowest rank, the leftmost of those.
func (m *merger) pop() candidate {
	top := m.queue[0]
	last := len(m.queue) - 1
	m.queue[0] = m.queue[last]
	m.queue = m.queue[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && m.queue[child+1].less(m.queue[child]) {
			child++
		}
		if !m.queue[child].less(m.queue[i]) {
			break
		}
		m.queue[i], m.queue[child] = m.queue[child], m.queue[i]
		i = child
	}
	return top
}
