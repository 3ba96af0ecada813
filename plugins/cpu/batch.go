package cpu

import (
	"maps"
	"slices"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// sharedRows is how many rows of prompts a pass has beside texts that are being written, which wait for it.
const sharedRows = 32

// batch makes the passes of lanes: it picks the rows, runs them, and gives each text what its rows predict.
type batch struct {
	engine *engine
	pass   *pass

	rows    []row
	shares  []share
	answers []answer
	wanted  []int // rows of the answers under way
	from    int   // index of their first answer
	given   func(i, worker int)
	over    func() bool
}

// share is a text's part of a pass: count rows from row first on.
type share struct {
	text         *text
	first, count int
}

// answer is what one row predicts: the next token of the prompt, or one that is picked.
type answer struct {
	text   *text
	row    int
	prompt bool
	event  *backendpb.Token
	err    error
}

func newBatch(e *engine, p *pass) *batch {
	b := &batch{engine: e, pass: p}
	b.given, b.over = b.give, b.unwanted
	return b
}

// step makes one pass of a lane's texts. Those that are over, or that nobody waits for any more, are gone from it afterwards.
func (b *batch) step(l *lane) {
	for _, t := range l.texts {
		if err := canceled(t.ctx); err != nil {
			b.end(t, err)
		}
	}
	b.plan(l)
	if len(b.rows) > 0 {
		b.compute(l)
	}
	l.texts = slices.DeleteFunc(l.texts, func(t *text) bool { return t.over })
	maps.DeleteFunc(l.common, func(p pair, _ int) bool {
		return p.waiting.over || p.waiting.begun || p.first.over || !p.first.reading()
	})
	clear(b.rows)
	clear(b.shares)
	clear(b.answers)
}

// plan picks rows: one of each text that is being written, and of prompts as many as there is room for, each text in its turn.
func (b *batch) plan(l *lane) {
	b.rows, b.shares = b.rows[:0], b.shares[:0]
	reading := 0
	for _, t := range l.texts {
		switch {
		case t.over:
		case t.reading():
			reading++
		default:
			b.add(t, 1)
		}
	}
	if reading == 0 {
		return
	}
	room := passRows - len(b.rows)
	if len(b.rows) > 0 || !b.engine.alone() {
		room = min(room, sharedRows)
	}
	served := 0 // texts at the end of the lane that had their turn
	for i := 0; i < len(l.texts)-served && room > 0; {
		t := l.texts[i]
		if t.over || !t.reading() || l.follows(t) {
			i++
			continue
		}
		if !t.begun {
			t.begin()
		}
		count := min(room, t.pending())
		b.add(t, count)
		room -= count
		copy(l.texts[i:], l.texts[i+1:])
		l.texts[len(l.texts)-1] = t
		served++
	}
}

// add gives a text its next rows, unless there is no memory for them.
func (b *batch) add(t *text, count int) {
	if err := t.cache.reserve(t.evaluated + count); err != nil {
		b.end(t, err)
		return
	}
	b.shares = append(b.shares, share{text: t, first: len(b.rows), count: count})
	for i := range count {
		b.rows = append(b.rows, row{text: &t.cache, position: t.evaluated + i, token: t.tokens[t.evaluated+i]})
	}
}

// follows reports whether another text is about to compute what this one begins with: it waits, and takes the pages.
func (l *lane) follows(t *text) bool {
	if t.begun || !t.shares() {
		return false
	}
	for _, other := range l.texts {
		if other.over || !other.begun || !other.reading() {
			continue
		}
		if l.shared(pair{waiting: t, first: other}) > other.evaluated {
			return true
		}
	}
	return false
}

// pair is a text that has not begun and one that has.
type pair struct{ waiting, first *text }

// shared is how many tokens, in whole pages, the first of a pair leaves for the other to take. Prompts do not change, and are long: they are
// compared once.
func (l *lane) shared(p pair) int {
	n, known := l.common[p]
	if !known {
		most := min(len(p.first.request.Prompt), p.waiting.shareable())
		for n < most && p.first.tokens[n] == p.waiting.tokens[n] {
			n++
		}
		n = n / pageTokens * pageTokens
		if l.common == nil {
			l.common = map[pair]int{}
		}
		l.common[p] = n
	}
	return n
}

// unwanted reports whether nobody waits for any text of the pass any more.
func (b *batch) unwanted() bool {
	for _, s := range b.shares {
		if s.text.ctx.Err() == nil {
			return false
		}
	}
	return true
}

// compute runs the rows and hands out what they predict.
func (b *batch) compute(l *lane) {
	err := b.pass.run(l.generation.model, b.rows, b.over)
	b.answers = b.answers[:0]
	for _, s := range b.shares {
		t := s.text
		if err != nil {
			b.end(t, canceled(t.ctx))
			continue
		}
		b.ask(s)
		t.evaluated += s.count
		b.engine.store.keep(&t.cache, &l.generation.prefixes, t.tokens[:t.evaluated])
	}
	most := l.generation.model.predictable()
	for b.from = 0; b.from < len(b.answers); b.from += most {
		if b.from > 0 && b.unwanted() {
			break
		}
		part := b.answers[b.from:min(b.from+most, len(b.answers))]
		b.wanted = b.wanted[:0]
		for _, a := range part {
			b.wanted = append(b.wanted, a.row)
		}
		b.pass.predict(b.wanted)
		b.pass.crew.each(len(part), 16*l.generation.model.vocab, b.given)
		for i := range part {
			b.tell(&part[i])
		}
	}
	for _, s := range b.shares {
		if t := s.text; !t.over && t.request.MaxTokens == 0 && t.pending() == 0 {
			b.finish(t, backendpb.Finish_LENGTH)
		}
	}
}

// ask collects what the rows of a text are to predict. It is called before the text counts them as evaluated.
func (b *batch) ask(s share) {
	t := s.text
	if t.request.PromptLogprobs {
		for i := range s.count {
			if t.evaluated+i+1 < len(t.request.Prompt) {
				b.answers = append(b.answers, answer{text: t, row: s.first + i, prompt: true, event: &backendpb.Token{Id: t.tokens[t.evaluated+i+1]}})
			}
		}
	}
	if t.evaluated+s.count == len(t.tokens) && t.request.MaxTokens > 0 {
		b.answers = append(b.answers, answer{text: t, row: s.first + s.count - 1, event: &backendpb.Token{}})
	}
}

// give looks at one prediction. Different answers may be given at the same time: a text has at most one that picks a token.
func (b *batch) give(i, _ int) {
	a := &b.answers[b.from+i]
	logits, n := b.pass.prediction(i), a.text.request.Logprobs
	if a.prompt {
		n = max(n, 0)
	} else if a.event.Id, a.err = a.text.choose.pick(logits); a.err != nil {
		return
	}
	a.err = describe(a.event, logits, n)
}

// tell queues an answer, and ends the text where it is its last.
func (b *batch) tell(a *answer) {
	t := a.text
	switch {
	case t.over:
	case a.err != nil:
		b.end(t, a.err)
	case a.prompt:
		t.queue <- promptEvent(a.event)
	default:
		t.queue <- &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Token{Token: a.event}}
		t.tokens = append(t.tokens, a.event.Id)
		switch {
		case slices.Contains(t.request.Stop, a.event.Id):
			b.finish(t, backendpb.Finish_STOP)
		case len(t.tokens) == len(t.request.Prompt)+int(t.request.MaxTokens):
			b.finish(t, backendpb.Finish_LENGTH)
		}
	}
}

// finish ends a text that is complete.
func (b *batch) finish(t *text, reason backendpb.Finish_Reason) {
	t.queue <- &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Finish{Finish: &backendpb.Finish{Reason: reason}}}
	b.end(t, nil)
}

// end gives back what a text holds; what is queued is still read.
func (b *batch) end(t *text, err error) {
	t.over, t.err = true, err
	b.engine.store.end(&t.cache)
	t.leave()
	close(t.queue)
}
